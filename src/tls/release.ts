/**
 * Giving memory back before garbage collection would. Deno hands out what it reads and deciphers in new
 * buffers of 64 KiB; V8 counts these apart from its heap and, when they have piled up, marks the whole
 * heap to find them. A moment after they were made nobody needs them any more, and the next read can
 * have the same memory.
 */

import type { Duplex } from "node:stream";

/** Chunks beyond this are left to the garbage collector. */
const MOST = 64;

/** Chunks that a stream was given to write and may still need. Only for chunks that nobody else has. */
export class Lent {
  readonly #to: Duplex;
  #chunks: Uint8Array[] = [];

  constructor(to: Duplex) {
    this.#to = to;
  }

  /** Remembers a chunk that the stream has just been given. */
  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.settle();
  }

  /** Frees what the stream has done with: everything, once nothing waits in it. Also for "drain". */
  settle(): void {
    const { destroyed, writableLength } = this.#to;
    if (!destroyed && writableLength > 0 && this.#chunks.length < MOST) return;
    // The system may still be at work on what a destroyed stream was given.
    if (!destroyed && writableLength === 0) this.#chunks.forEach(release);
    this.#chunks = [];
  }
}

/** A view of a part of a buffer may share it, so that one is left alone. */
function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (bytes.byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
