/**
 * Connections that have not proved yet who they are. Each has a time limit, all together a bound, and
 * those of one source another, so that strangers can hold neither for long nor many, and one of them
 * cannot crowd out the others.
 */
import type { Socket } from "node:net";
import { sourceOf } from "../source.ts";

/** Connections that may wait at one door. Beside OpenSSH's MaxStartups of 10:30:100, see `Lobby`. */
export const MOST = 1024;
/** Of these, from one source: a company's gateways may all come from behind one address, at once. */
export const MOST_PER_SOURCE = 512;

/** How long and how many may wait. */
export interface LobbyOptions {
  /** Time that one may take, ms. */
  timeout: number;
  /** Connections at a time. @default 1,024 */
  most?: number;
  /** Connections at a time from one source (`sourceOf`). @default 512 */
  mostPerSource?: number;
}

interface Guest {
  source: string;
  /** Guests are numbered as they come. */
  number: number;
  timer: ReturnType<typeof setTimeout>;
  turnOut(why: string): void;
}

/**
 * The connections of one door between accept and authentication. OpenSSH refuses newcomers when too
 * many wait, so that ten silent connections keep out a third of all honest ones. Here a newcomer always
 * comes in, and one that has waited longest goes: an honest peer is through within a moment, so who
 * would crowd it out has to be faster than that. The one that goes is of the newcomer's own source if
 * that has too many, else of the source that has most.
 */
export class Lobby {
  readonly #timeout: number;
  readonly #most: number;
  readonly #mostPerSource: number;
  readonly #guests = new Map<Socket, Guest>();
  /** Those of each source, in the order in which they came. */
  readonly #sources = new Map<string, Set<Guest>>();
  #count = 0;

  constructor({ timeout, most = MOST, mostPerSource = MOST_PER_SOURCE }: LobbyOptions) {
    this.#timeout = timeout;
    this.#most = most;
    this.#mostPerSource = mostPerSource;
  }

  /** Connections that wait now. */
  get size(): number {
    return this.#guests.size;
  }

  /**
   * Takes a connection until it leaves or closes. One that stays too long, or must go for another, is
   * destroyed.
   * @param onTurnedOut told why, before the connection is destroyed
   */
  enter(socket: Socket, onTurnedOut: (why: string) => void): void {
    const turnOut = (why: string) => {
      this.leave(socket);
      onTurnedOut(why);
      socket.destroy();
    };
    const late = () => turnOut(`it took longer than ${this.#timeout} ms`);
    const guest: Guest = {
      source: sourceOf(socket.remoteAddress),
      number: this.#count++,
      timer: setTimeout(late, this.#timeout),
      turnOut,
    };
    this.#guests.set(socket, guest);
    const others = this.#sources.get(guest.source) ?? new Set();
    this.#sources.set(guest.source, others.add(guest));
    socket.once("close", () => this.leave(socket));
    if (others.size > this.#mostPerSource) {
      const why = `${this.#mostPerSource} others came after it from its address and wait as well`;
      return first(others).turnOut(why);
    }
    if (this.#guests.size <= this.#most) return;
    this.#longestOfMost().turnOut(`${this.#most} others wait as well, most of its address`);
  }

  /** Destroys the one that can be spared most easily; false if nobody waits. */
  turnOutOne(why: string): boolean {
    if (this.#guests.size === 0) return false;
    this.#longestOfMost().turnOut(why);
    return true;
  }

  /** The connection has proved who it is. */
  leave(socket: Socket): void {
    const guest = this.#guests.get(socket);
    if (!guest) return;
    clearTimeout(guest.timer);
    this.#guests.delete(socket);
    const others = this.#sources.get(guest.source)!;
    others.delete(guest);
    if (others.size === 0) this.#sources.delete(guest.source);
  }

  /** Destroys all that wait. */
  clear(): void {
    for (const socket of [...this.#guests.keys()]) {
      this.leave(socket);
      socket.destroy();
    }
  }

  /** Of the source with most guests the one that came first; of several such sources, of them all. */
  #longestOfMost(): Guest {
    let most: Set<Guest> | undefined;
    for (const guests of this.#sources.values()) {
      const difference = guests.size - (most?.size ?? 0);
      const earlier = most && first(guests).number < first(most).number;
      if (difference > 0 || (difference === 0 && earlier)) most = guests;
    }
    return first(most!);
  }
}

function first(guests: Set<Guest>): Guest {
  const [guest] = guests;
  return guest!;
}
