/** Mode tcp: the stream joined to the target that the client certificate names. */
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { SallyportError } from "../errors.ts";
import type { ForwardContext, ForwardResult } from "./handler.ts";
import { pipe } from "./pipe.ts";
import type { Route } from "../channel/route.ts";

/** Connects and copies both ways. Rejects with `target-unreachable`, or with what broke the copy. */
export async function forwardTcp(
  stream: Duplex,
  { target }: Route,
  context: ForwardContext,
): Promise<ForwardResult> {
  const socket = await connectFor(stream, target, context).catch((error) => {
    stream.destroy();
    throw error;
  });
  const counts = { aToB: 0, bToA: 0 };
  const read = () => ({ bytesIn: counts.aToB, bytesOut: counts.bToA });
  context.meter?.(read);
  await pipe(stream, socket, {
    signal: context.signal,
    idleTimeout: context.idleTimeout,
    counts,
  });
  return read();
}

/** Gives up when the stream breaks first: nobody would be left to use the connection. */
async function connectFor(
  stream: Duplex,
  target: Route["target"],
  { dial, signal, connectTimeout }: ForwardContext,
): Promise<Socket> {
  if (!target) throw new SallyportError("route-malformed", "tcp mode without a target");
  const gone = new AbortController();
  const onGone = () => {
    gone.abort(new SallyportError("ssh-closed", "the channel closed before the target answered"));
  };
  // Stays: an error between here and pipe's own listeners must not go unheard.
  stream.on("error", onGone);
  stream.once("close", onGone);
  if (stream.destroyed) onGone();
  try {
    return await dial(target.host, target.port, {
      signal: AbortSignal.any([signal, gone.signal]),
      timeout: connectTimeout,
    });
  } finally {
    stream.off("close", onGone);
  }
}
