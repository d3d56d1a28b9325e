/** What a mode's handler is given and gives back. */
import type { Duplex } from "node:stream";
import type { Route } from "../channel/route.ts";
import type { Dial } from "../egress/dial.ts";
import type { KubernetesFiles } from "./kubernetes.ts";

/** What handlers use of the gateway around them. */
export interface ForwardContext {
  /** Connects to targets. */
  dial: Dial;
  /** Aborting ends the forward. */
  signal: AbortSignal;
  /** Time for connecting to a target, ms. @default the dialer's */
  connectTimeout?: number;
  /** Streams without a byte either way for this long are ended, ms. @default never */
  idleTimeout?: number;
  /** Where the pod's credentials are. @default Kubernetes' own places */
  kubernetes?: KubernetesFiles;
  /** Is given how to read what has gone each way so far, by handlers that go on for longer. */
  meter?(read: () => ForwardResult): void;
  /** Logs what failed within a forward that goes on. */
  report(text: string, parts: { message: string; [part: string]: unknown }): void;
}

/** Bytes of one forward. */
export interface ForwardResult {
  /** From the platform to the target. */
  bytesIn: number;
  /** From the target to the platform. */
  bytesOut: number;
}

/**
 * Serves one verified stream in one mode. `stream.end()` half-closes it. The handler owns the stream
 * from the call on and has ended or destroyed it when its promise settles.
 */
export type ForwardHandler = (
  stream: Duplex,
  route: Route,
  context: ForwardContext,
) => Promise<ForwardResult>;
