/** The line that some modes begin with, taken off a stream before somebody else reads the rest. */
import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { SallyportError } from "../errors.ts";

/** How long and for how long. */
export interface FirstLineOptions {
  /** Most bytes that the line may have, its newline included. */
  limit: number;
  /** Time for the whole line, ms. */
  timeout: number;
  signal: AbortSignal;
}

const NEWLINE = 0x0a;

/**
 * Reads up to the first newline and leaves the stream paused right behind it. Gives the line without
 * its line end, or nothing if the stream ends before its first byte. Rejects with `route-malformed` if
 * the line is too long or the stream ends inside it, with `timeout`, or with what broke the stream.
 */
export function readFirstLine(
  stream: Duplex,
  { limit, timeout, signal }: FirstLineOptions,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      stream.off("data", onData).off("end", onEnd).off("close", onClose).off("error", fail);
    };
    const fail = (error: unknown) => {
      settle();
      reject(error);
    };
    const onAbort = () => fail(signal.reason);
    const onData = (chunk: Buffer) => {
      const end = chunk.indexOf(NEWLINE);
      const part = end < 0 ? chunk : chunk.subarray(0, end);
      parts.push(part);
      length += part.length;
      if (length >= limit) return fail(malformed(`is longer than ${limit} bytes`));
      if (end < 0) return;
      settle();
      stream.pause();
      if (end + 1 < chunk.length) stream.unshift(chunk.subarray(end + 1));
      resolve(Buffer.concat(parts).toString("latin1").replace(/\r$/, ""));
    };
    const onEnd = () => {
      if (length > 0) return fail(malformed("is cut off"));
      settle();
      resolve(undefined);
    };
    const onClose = () => {
      fail(new SallyportError("ssh-closed", "the stream was closed before its first line"));
    };
    const timer = setTimeout(
      () => fail(new SallyportError("timeout", `no first line within ${timeout} ms`)),
      timeout,
    );
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    stream.on("end", onEnd).on("close", onClose).on("error", fail).on("data", onData);
    if (stream.destroyed) onClose();
  });
}

function malformed(what: string): SallyportError {
  return new SallyportError("route-malformed", `the stream's first line ${what}`);
}
