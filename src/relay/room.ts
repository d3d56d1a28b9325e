/**
 * All connections of a relay: as many as there may be open files for, since with none left Deno ends, or a
 * server of its takes no connection ever after (open_files.ts).
 */
import type { Socket } from "node:net";
import { connectionLimit } from "../open_files.ts";

/** Gateways, clients and strangers together. */
const MOST = 16_384;

/** Counts what both ports have let in. */
export class Room {
  readonly #limit: (present: number) => number;
  readonly #makeRoom: () => boolean;
  #size = 0;

  /**
   * @param makeRoom ends a connection that can be spared; false if there is none
   * @param limit how many there may be, told how many there are
   */
  constructor(makeRoom: () => boolean, limit = connectionLimit(MOST, "connections")) {
    this.#makeRoom = makeRoom;
    this.#limit = limit;
  }

  /** Takes a connection in until it closes. If there is no room for it, it is destroyed: false. */
  admit(socket: Socket): boolean {
    if (this.#size >= this.#limit(this.#size) && !this.#makeRoom()) {
      socket.on("error", () => {}).destroy();
      return false;
    }
    this.#size++;
    socket.once("close", () => this.#size--);
    return true;
  }
}
