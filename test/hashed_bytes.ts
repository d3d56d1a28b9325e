/** Bytes that are hard to mistake: every stream has its own, and both ends hash what they see. */
import type { Buffer } from "node:buffer";
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** Bytes that are written at once. */
export const BLOCK = 64 * 1024;

/** What one end saw. */
export interface Seen {
  size: number;
  hash: string;
}

/**
 * Sends `size` bytes that depend on `seed`, as fast as the other side takes them but with `pause` ms
 * between two blocks, and half-closes, not before `first` has settled. Rejects if the stream closes
 * meanwhile.
 */
export async function send(
  stream: Duplex,
  size: number,
  seed: string,
  { pause = 0, first }: { pause?: number; first?: Promise<unknown> } = {},
): Promise<Seen> {
  const key = createHash("sha256").update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, new Uint8Array(16));
  const zeros = new Uint8Array(BLOCK);
  const hash = createHash("sha256");
  const closed = new AbortController();
  const close = () => closed.abort(new Error("closed while sending"));
  stream.once("close", close);
  try {
    for (let left = size; left > 0; left -= BLOCK) {
      const chunk = cipher.update(zeros.subarray(0, Math.min(left, BLOCK)));
      hash.update(chunk);
      if (stream.destroyed) throw new Error("closed while sending");
      if (!stream.write(chunk)) await once(stream, "drain", { signal: closed.signal });
      if (pause > 0) await delay(pause, undefined, { signal: closed.signal });
    }
    await first;
    stream.end();
  } finally {
    stream.off("close", close);
  }
  return { size, hash: hash.digest("hex") };
}

/** Takes everything until the other side's end. Rejects if it closes without one. */
export function receive(stream: Duplex): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    let size = 0;
    stream.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      size += chunk.length;
    });
    stream.once("end", () => resolve({ size, hash: hash.digest("hex") }));
    stream.once("error", reject);
    stream.once("close", () => reject(new Error("closed without an end")));
  });
}
