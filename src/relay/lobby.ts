/**
 * Connections that have not proved yet who they are. Each has a time limit and all together a bound,
 * so that strangers can hold neither for long nor many.
 */
import type { Socket } from "node:net";

/** How long and how many may wait. */
export interface LobbyOptions {
  /** Time that one may take, ms. */
  timeout: number;
  /** Connections at a time. */
  most: number;
}

interface Guest {
  timer: ReturnType<typeof setTimeout>;
  turnOut(why: string): void;
}

/** The connections of one door between accept and authentication. */
export class Lobby {
  readonly #options: LobbyOptions;
  /** In the order in which they came. */
  readonly #guests = new Map<Socket, Guest>();

  constructor(options: LobbyOptions) {
    this.#options = options;
  }

  /** Connections that wait now. */
  get size(): number {
    return this.#guests.size;
  }

  /**
   * Takes a connection until it leaves or closes. One that stays too long is destroyed, and so is the
   * one that has waited longest when one too many comes: an honest peer is through within a moment, so
   * who would crowd it out has to be faster than that.
   * @param onTurnedOut told why, before the connection is destroyed
   */
  enter(socket: Socket, onTurnedOut: (why: string) => void): void {
    const { timeout, most } = this.#options;
    const turnOut = (why: string) => {
      this.leave(socket);
      onTurnedOut(why);
      socket.destroy();
    };
    const timer = setTimeout(() => turnOut(`it took longer than ${timeout} ms`), timeout);
    this.#guests.set(socket, { timer, turnOut });
    socket.once("close", () => this.leave(socket));
    if (this.#guests.size <= most) return;
    const [oldest] = this.#guests.values();
    oldest?.turnOut(`${most} others came after it and wait as well`);
  }

  /** The connection has proved who it is. */
  leave(socket: Socket): void {
    clearTimeout(this.#guests.get(socket)?.timer);
    this.#guests.delete(socket);
  }

  /** Destroys all that wait. */
  clear(): void {
    for (const socket of [...this.#guests.keys()]) {
      this.leave(socket);
      socket.destroy();
    }
  }
}
