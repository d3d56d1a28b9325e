/**
 * The gateway's sign of life to the platform: while the link is up, every 10 s until the first
 * success, then every 3 min (protocol.md, "Timings").
 */
import type { PlatformApi } from "../enroll/api.ts";
import { asSallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import { askedWait } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { LinkState } from "./state.ts";

const log = logger("link");

/** ms */
export const FIRST_HEARTBEAT_EVERY = 10_000;
/** ms */
export const HEARTBEAT_EVERY = 3 * 60_000;

/** What heartbeats need. */
export interface HeartbeatOptions {
  api: Pick<PlatformApi, "gatewayHeartbeat">;
  state: LinkState;
  clock: Clock;
}

/** Sends heartbeats until `signal` aborts; rejects with its reason then, or with `revoked`. */
export async function keepBeating(options: HeartbeatOptions, signal: AbortSignal): Promise<never> {
  const { api, state, clock } = options;
  const folded = new FoldedLog(log, () => clock.now());
  let failures = 0;
  let everTaken = false;
  for (;;) {
    await state.until(({ phase }) => phase === "up", signal);
    let wait = HEARTBEAT_EVERY;
    try {
      await api.gatewayHeartbeat(signal);
      const after = folded.recovered();
      folded.forget();
      if (!everTaken) log.info("the platform has taken the first heartbeat{after}", { after });
      else if (after) log.info("heartbeats are taken again{after}", { after });
      failures = 0;
      everTaken = true;
      state.update({ heartbeat: new Date(clock.now()) });
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSallyportError(error);
      const { message, code, hint } = failure;
      if (code === "revoked") throw failure;
      const growth = everTaken ? 2 ** Math.min(failures++, 16) : 1;
      wait = Math.max(
        Math.min(FIRST_HEARTBEAT_EVERY * growth, HEARTBEAT_EVERY),
        askedWait(failure),
      );
      folded.failed("warn", "heartbeat not taken: {message}", { message, code, hint });
      state.fault(failure);
    }
    await clock.wait(wait, signal);
  }
}
