/** Mode ping: the platform asks whether the gateway is there (protocol.md). */
import type { ForwardHandler } from "./handler.ts";
import { answer } from "./answer.ts";

/** Answers `PONG` and closes. */
export const forwardPing: ForwardHandler = (stream, _route, context) =>
  answer(stream, "PONG\n", context);
