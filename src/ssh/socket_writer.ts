/**
 * Writing to a socket in large pieces: packets come in bursts, and what one turn of the event loop
 * writes goes out in one system call. Bytes are copied at once, so that their owner may use them again.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import process from "node:process";

/** Bytes that are gathered at most before they go to the socket. */
const PIECE = 128 * 1024;

/** The writing half of one socket. */
export class SocketWriter {
  readonly #socket: Socket;
  #piece: Buffer = Buffer.alloc(0);
  /** Bytes of the piece that the socket has, and that are filled. */
  #sent = 0;
  #filled = 0;
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Copies `data` and sends it at the end of this turn at the latest. */
  write(data: Uint8Array): void {
    if (this.#socket.destroyed) return;
    if (data.length > this.#piece.length - this.#filled) {
      this.flush();
      this.#piece = Buffer.allocUnsafeSlow(Math.max(PIECE, data.length));
      this.#sent = this.#filled = 0;
    }
    this.#piece.set(data, this.#filled);
    this.#filled += data.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends what is gathered. */
  flush(): void {
    if (this.#filled === this.#sent || this.#socket.destroyed) return;
    this.#socket.write(this.#piece.subarray(this.#sent, this.#filled));
    this.#sent = this.#filled;
    // What the kernel has taken at once, nobody looks at any more.
    if (this.#socket.writableLength === 0) this.#sent = this.#filled = 0;
  }
}
