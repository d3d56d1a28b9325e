/** Memory for what leaves the shared packet buffer: large pieces share slabs, so that few are made. */
import { Buffer } from "node:buffer";

const SLAB = 256 * 1024;
/** Smaller pieces get memory of their own: one that is kept for long must not keep a slab. */
const SMALLEST_SHARED = 4 * 1024;

/** Gives out memory piece by piece. */
export class Slab {
  #slab: Buffer = Buffer.alloc(0);
  #used = 0;

  /** A copy of `bytes`. */
  copy(bytes: Uint8Array): Buffer {
    const { length } = bytes;
    if (length < SMALLEST_SHARED) return Buffer.from(bytes);
    if (length > this.#slab.length - this.#used) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, length));
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += length;
    const piece = this.#slab.subarray(from, this.#used);
    piece.set(bytes);
    return piece;
  }
}
