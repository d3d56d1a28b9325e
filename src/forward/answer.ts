/** A fixed text as the whole answer to whoever opened the stream. */
import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { ForwardContext, ForwardResult } from "./handler.ts";

/** How long the other side may take to close after the answer, ms. */
const LINGER = 2_000;

/**
 * Sends `text`, half-closes, and waits briefly for the other side's close: input that nobody has read
 * would turn our close into a reset, and a reset can overtake the answer. Rejects if the stream breaks.
 */
export function answer(
  stream: Duplex,
  text: string,
  { signal }: Pick<ForwardContext, "signal">,
): Promise<ForwardResult> {
  return new Promise((resolve, reject) => {
    let bytesIn = 0;
    const settle = (error?: unknown) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      stream.destroy();
      if (error && !stream.writableFinished) reject(error);
      else resolve({ bytesIn, bytesOut: Buffer.byteLength(text) });
    };
    const onAbort = () => settle(signal.reason);
    const timer = setTimeout(settle, LINGER);
    stream.on("error", settle);
    stream.once("close", () => settle(new Error("the stream was closed before the answer")));
    stream.once("end", () => stream.writableFinished ? settle() : stream.once("finish", settle));
    stream.on("data", (chunk: Buffer) => bytesIn += chunk.length);
    // Whoever had the stream before may have paused it.
    stream.resume();
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    stream.end(text);
  });
}
