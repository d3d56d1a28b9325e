/**
 * Giving memory back before garbage collection would. Deno hands out what it reads and deciphers in new
 * buffers of 64 KiB; V8 counts these apart from its heap and, when they have piled up, marks the whole
 * heap to find them. A moment after they were made nobody needs them any more, and the next read can
 * have the same memory.
 */

/**
 * Frees the memory of `bytes`, which are empty afterwards. Only for bytes that nobody else has: it does
 * nothing for a view of a part of a buffer, which may be shared.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (bytes.byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
