/** Mode health: the platform asks how the gateway is (protocol.md). */
import type { ForwardHandler } from "./handler.ts";
import { answer } from "./answer.ts";

/** Seconds after which the platform may take a silent gateway for dead. */
const HEARTBEAT_TTL = 180;

/** Answers with one line of JSON and closes. */
export const forwardHealth: ForwardHandler = (stream, _route, context) =>
  answer(stream, `${JSON.stringify({ status: "ok", heartbeatTTL: HEARTBEAT_TTL })}\n`, context);
