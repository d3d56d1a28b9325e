/**
 * The connections of the API's port: how many there may be, in all and of one address, and who has to go
 * for whom. An honest client's is answered within a moment, so who waits longest goes first; and of
 * whoever has most, so that one that has many crowds out nobody but itself.
 */
import type { Socket } from "node:net";
import { sourceOf } from "../source.ts";

/** Connections at a time. */
export interface GuestLimits {
  connections: number;
  /** Of one IPv4 address, or of one IPv6 network (/64). */
  connectionsPerAddress: number;
}

interface Guest {
  name: string;
  socket: Socket;
  place: Place;
}

/** What one address has. */
interface Place {
  peer: string;
  size: number;
  /** Those that are not being answered, the longest waiting first. */
  waiting: Set<Guest>;
}

/** The connections of a server. */
export class Guests {
  readonly #limits: GuestLimits;
  readonly #onTurnedOut: (peer: string) => void;
  readonly #guests = new Map<string, Guest>();
  readonly #places = new Map<string, Place>();

  /** @param onTurnedOut told whenever a connection has to go for others */
  constructor(limits: GuestLimits, onTurnedOut: (peer: string) => void = () => {}) {
    this.#limits = limits;
    this.#onTurnedOut = onTurnedOut;
  }

  /** Connections now. */
  get size(): number {
    return this.#guests.size;
  }

  /** Takes a connection in until it closes; it, or another one, is destroyed if it is one too many. */
  admit(socket: Socket): void {
    const { connections, connectionsPerAddress } = this.#limits;
    // The peer may be gone already.
    if (socket.remoteAddress === undefined) return void socket.destroy();
    const name = nameOf(socket);
    // A connection from the same port is one whose close has not been heard of yet.
    this.#leave(this.#guests.get(name));
    const peer = sourceOf(socket.remoteAddress);
    const place = this.#places.get(peer) ?? { peer, size: 0, waiting: new Set() };
    this.#places.set(peer, place);
    const guest = { name, socket, place };
    this.#guests.set(name, guest);
    place.size++;
    place.waiting.add(guest);
    socket.once("close", () => this.#leave(guest));
    if (place.size > connectionsPerAddress) this.#turnOutOldest(place);
    else if (this.#guests.size > connections) this.#turnOutOldest(this.#fullest());
  }

  /** A request has come wholly and is being answered: until `waits`, its connection stays. */
  answers(socket: Socket): void {
    const guest = this.#guests.get(nameOf(socket));
    guest?.place.waiting.delete(guest);
  }

  /** The answer is on its way: the connection waits, as the newest. */
  waits(socket: Socket): void {
    const guest = this.#guests.get(nameOf(socket));
    guest?.place.waiting.add(guest);
  }

  /** Destroys all that wait. */
  dismiss(): void {
    for (const { waiting } of [...this.#places.values()]) {
      for (const guest of [...waiting]) this.#turnOut(guest);
    }
  }

  #fullest(): Place {
    let fullest: Place | undefined;
    for (const place of this.#places.values()) {
      if (!fullest || place.waiting.size > fullest.waiting.size) fullest = place;
    }
    return fullest!;
  }

  #turnOutOldest(place: Place): void {
    const [oldest] = place.waiting;
    if (!oldest) return;
    this.#onTurnedOut(place.peer);
    this.#turnOut(oldest);
  }

  /** It counts no more from now on; its close comes later. */
  #turnOut(guest: Guest): void {
    this.#leave(guest);
    guest.socket.destroy();
  }

  #leave(guest: Guest | undefined): void {
    if (!guest || this.#guests.get(guest.name) !== guest) return;
    const { name, place } = guest;
    this.#guests.delete(name);
    place.waiting.delete(guest);
    if (--place.size === 0) this.#places.delete(place.peer);
  }
}

/** A name for a connection: TLS puts another socket over the one that was accepted; the two have this in common. */
function nameOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
