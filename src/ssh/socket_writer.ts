/**
 * Writing to a socket in large pieces: packets come in bursts, and what one turn of the event loop
 * writes goes out in one system call. Bytes are copied at once, so that their owner may use them again;
 * so are the pieces, as soon as the socket has done with them.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import process from "node:process";

/** Bytes that are gathered at most before they go to the socket. */
const PIECE = 128 * 1024;
/** The first piece: a stranger's handshake fits into it, and strangers may come by the thousand. */
const FIRST_PIECE = 4 * 1024;
/** Pieces that are kept for the next time. */
const SPARE = 8;

/** Memory, and how much of it is filled, is handed to the socket, and is still being written. */
interface Piece {
  memory: Buffer;
  filled: number;
  sent: number;
  writes: number;
}

/** The writing half of one socket. */
export class SocketWriter {
  readonly #socket: Socket;
  #piece: Piece = piece(0);
  readonly #spare: Piece[] = [];
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Copies `data` and sends it at the end of this turn at the latest. */
  write(data: Uint8Array): void {
    if (this.#socket.destroyed) return;
    if (data.length > this.#piece.memory.length - this.#piece.filled) {
      this.flush();
      this.#replace(data.length);
    }
    this.#piece.memory.set(data, this.#piece.filled);
    this.#piece.filled += data.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends what is gathered. */
  flush(): void {
    const piece = this.#piece;
    if (piece.filled === piece.sent || this.#socket.destroyed) return;
    piece.writes++;
    this.#socket.write(piece.memory.subarray(piece.sent, piece.filled), () => {
      piece.writes--;
      if (piece !== this.#piece) this.#keep(piece);
    });
    piece.sent = piece.filled;
    // What the kernel has taken at once, nobody looks at any more.
    if (this.#socket.writableLength === 0) piece.sent = piece.filled = 0;
  }

  /** Another piece in place of the full one, with room for `least` bytes. */
  #replace(least: number): void {
    const full = this.#piece;
    if (full.filled === 0 && full.memory.length >= least) return;
    const size = full.memory.length === 0 ? FIRST_PIECE : PIECE;
    this.#piece = least <= PIECE && this.#spare.pop() || piece(Math.max(size, least));
    this.#keep(full);
  }

  #keep(done: Piece): void {
    if (done.writes > 0 || done.memory.length !== PIECE || this.#spare.length >= SPARE) return;
    done.filled = done.sent = 0;
    this.#spare.push(done);
  }
}

function piece(size: number): Piece {
  return { memory: Buffer.allocUnsafeSlow(size), filled: 0, sent: 0, writes: 0 };
}
