/**
 * Bytes that a test sends and then looks for where nobody may have them. They are random: nothing
 * compresses them, no chance repeats sixteen of them, and so any window of them that is found anywhere
 * has come from here.
 */
import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";

/** Length of the fragments that are recognised, at whatever offset of the content they begin, bytes. */
export const WINDOW = 16;
/** Bits of the filter that most bytes fail before anything slow is asked. */
const FILTER_BITS = 24;

/** Spreads four bytes over the filter. */
function slot(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - FILTER_BITS);
}

/** Content, and an index of all its windows. */
export class KnownContent {
  readonly bytes: Buffer;
  readonly #filter = new Uint8Array(2 ** (FILTER_BITS - 3));
  /** Offsets by the first six bytes of the window there. */
  readonly #windows = new Map<number, number>();

  /** @param bytes what to look for, or how many random bytes */
  constructor(bytes: Buffer | number) {
    this.bytes = typeof bytes === "number" ? randomBytes(bytes) : bytes;
    for (let at = 0; at + WINDOW <= this.bytes.length; at++) {
      const place = slot(this.bytes.readUInt32BE(at));
      this.#filter[place >> 3]! |= 1 << (place & 7);
      this.#windows.set(this.bytes.readUIntBE(at, 6), at);
    }
  }

  /** Where in `hay` the first window of this content is; -1 if there is none. */
  findIn(hay: Buffer): number {
    const filter = this.#filter;
    const last = hay.length - WINDOW;
    let word = 0;
    for (let at = 0; at < Math.min(3, hay.length); at++) word = word << 8 | hay[at]!;
    for (let at = 0; at <= last; at++) {
      word = word << 8 | hay[at + 3]!;
      const place = slot(word);
      if ((filter[place >> 3]! & 1 << (place & 7)) === 0) continue;
      if (this.#isAt(hay, at)) return at;
    }
    return -1;
  }

  #isAt(hay: Buffer, at: number): boolean {
    const from = this.#windows.get(hay.readUIntBE(at, 6));
    if (from === undefined) return false;
    return this.bytes.subarray(from, from + WINDOW).equals(hay.subarray(at, at + WINDOW));
  }
}
