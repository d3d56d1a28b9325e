/** What is done with a stream in each mode. A new mode is one file and one line here. */
import type { Mode } from "../channel/route.ts";
import type { ForwardHandler } from "./handler.ts";
import { forwardHealth } from "./health.ts";
import { forwardHttp } from "./http.ts";
import { forwardPing } from "./ping.ts";
import { forwardTcp } from "./tcp.ts";

export type { ForwardContext, ForwardHandler, ForwardResult } from "./handler.ts";

/** Mode → handler. */
export const handlers: Record<Mode, ForwardHandler> = {
  tcp: forwardTcp,
  http: forwardHttp,
  ping: forwardPing,
  health: forwardHealth,
};
