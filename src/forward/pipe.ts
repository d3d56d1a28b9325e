/**
 * Joins two streams: bytes both ways with backpressure, a half-close passed on as a half-close, a
 * break of one side ending the other at once. The hot path of every room that moves bytes, so it works
 * with plain events and no promise a chunk.
 */
import type { Buffer } from "node:buffer";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TlsStream } from "../tls/stream.ts";
import { SallyportError } from "../errors.ts";
import { Lent } from "../tls/release.ts";
import { outliveSilentEnd } from "./silent_end.ts";

/** How a pipe is watched. */
export interface PipeOptions {
  /** Aborting ends both sides. */
  signal?: AbortSignal;
  /**
   * Both sides end when no byte has gone either way for this long (noticed within twice the time), ms.
   * @default never
   */
  idleTimeout?: number;
  /** Where bytes are counted as they go. @default an object of its own */
  counts?: PipeCounts;
}

/** Bytes that went each way. */
export interface PipeCounts {
  aToB: number;
  bToA: number;
}

/** What one direction tells the pipe. */
interface FlowEvents {
  onBytes(count: number): void;
  /** Its source has ended; what is left is on its way. */
  onEnd(): void;
  onDone(): void;
  /** One of the two streams is broken. */
  onFailure(stream: Duplex, error: unknown): void;
}

/** Time for the last bytes of a broken stream to reach the other side, ms. */
const FLUSH_WITHIN = 30_000;
/** Time for that side to close after them, ms: a reset could overtake them. */
const LINGER = 1_000;

/**
 * Pipes until both directions are over. Owns both streams from the call on: when the promise settles,
 * both are destroyed. Rejects if one breaks (its error), is closed before its end (`ssh-closed`), or
 * the pipe is aborted (the signal's reason) or idle for too long (`timeout`). A side that ends and is
 * gone at once has still had the last word: that reaches the other side before the pipe rejects.
 */
export function pipe(a: Duplex, b: Duplex, options: PipeOptions = {}): Promise<PipeCounts> {
  return new Promise((resolve, reject) => {
    const { signal, idleTimeout, counts = { aToB: 0, bToA: 0 } } = options;
    /** Sides that are being given the other's last bytes. */
    const flushing = new Set<Duplex>();
    let over = false;
    let failed = false;
    let directions = 2;
    let timer: ReturnType<typeof setTimeout> | undefined;

    const finish = (error?: unknown) => {
      if (over) return;
      over = true;
      stopWatch?.();
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      for (const stop of stops) stop();
      for (const stream of [a, b]) tearDown(stream, error !== undefined);
      if (error === undefined) resolve(counts);
      else reject(error);
    };
    const fail = (stream: Duplex, error: unknown) => {
      const other = stream === a ? b : a;
      if (!flushing.has(other)) return finish(error);
      if (failed) return;
      failed = true;
      for (const stop of stops) stop();
      const end = () => finish(error);
      timer = setTimeout(end, FLUSH_WITHIN);
      stream.on("error", () => {});
      other.on("error", end).on("close", end);
      // What it still sends has nowhere to go; left unread, it would turn our close into a reset.
      other.resume();
      afterFlush = () => {
        if (other.readableEnded) return end();
        clearTimeout(timer);
        timer = setTimeout(end, LINGER);
        other.on("end", end);
      };
    };
    let afterFlush = () => {};
    const onAbort = () => finish(signal?.reason);
    const onDone = (to: Duplex) => {
      flushing.delete(to);
      if (failed) afterFlush();
      else if (--directions === 0) finish();
    };
    const events = (to: Duplex, onBytes: FlowEvents["onBytes"]): FlowEvents => ({
      onBytes,
      onEnd: () => flushing.add(to),
      onDone: () => onDone(to),
      onFailure: fail,
    });

    for (const stream of [a, b]) if (stream instanceof Socket) outliveSilentEnd(stream);
    const stopWatch = idleTimeout
      ? watchIdle(idleTimeout, () => counts.aToB + counts.bToA, finish)
      : undefined;
    const stops = [
      flow(a, b, events(b, (count) => counts.aToB += count)),
      flow(b, a, events(a, (count) => counts.bToA += count)),
    ];
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * A connection that broke must not look to the side that is left as if it had come to its end: a
 * network socket is reset, and a TlsStream does that by itself.
 */
function tearDown(stream: Duplex, broken: boolean): void {
  // A late error of a stream that is being torn down has nobody left to hear it.
  stream.on("error", () => {});
  if (broken && stream instanceof Socket && !stream.destroyed && !stream.writableFinished) {
    stream.resetAndDestroy();
  } else {
    stream.destroy();
  }
}

/** Calls `fail` when `total` has not changed between two looks. Returns how to stop. */
function watchIdle(
  timeout: number,
  total: () => number,
  fail: (error: unknown) => void,
): () => void {
  let seen = total();
  const timer = setInterval(() => {
    if (total() === seen) fail(new SallyportError("timeout", `no byte for ${timeout} ms`));
    seen = total();
  }, timeout);
  return () => clearInterval(timer);
}

/** One direction. Returns how to stop listening. */
function flow(from: Duplex, to: Duplex, events: FlowEvents): () => void {
  let ended = false;
  // What these read has no other owner.
  const lent = from instanceof Socket || from instanceof TlsStream ? new Lent(to) : undefined;
  const onData = (chunk: Buffer) => {
    events.onBytes(chunk.length);
    if (!to.write(chunk)) from.pause();
    lent?.add(chunk);
  };
  const onDrain = () => {
    lent?.settle();
    from.resume();
  };
  const onEnd = () => {
    if (ended) return;
    ended = true;
    events.onEnd();
    // The callback means that everything, the end included, was handed to the layer below.
    to.end((error?: Error | null) => error ? events.onFailure(to, error) : events.onDone());
  };
  const onFromError = (error: Error) => events.onFailure(from, error);
  const onFromClose = () => {
    if (!ended) events.onFailure(from, closedEarly());
  };
  // A destroyed stream swallows what is written to it: neither "drain" nor "error" would ever come.
  const onToClose = () => {
    if (!to.writableFinished) events.onFailure(to, closedEarly());
  };
  from.on("data", onData).on("end", onEnd).on("close", onFromClose).on("error", onFromError);
  to.on("drain", onDrain).on("close", onToClose);
  queueMicrotask(() => {
    if (from.readableEnded) onEnd();
    if (from.destroyed) onFromClose();
    if (to.destroyed) onToClose();
  });
  from.resume();
  return () => {
    from.off("data", onData).off("end", onEnd).off("close", onFromClose).off("error", onFromError);
    to.off("drain", onDrain).off("close", onToClose);
  };
}

function closedEarly(): SallyportError {
  return new SallyportError("ssh-closed", "the connection was closed before its end");
}
