/** The link's state as /status tells it. Pure. */
import type { LinkSnapshot } from "../link/state.ts";
import { redact } from "../log.ts";
import { VERSION } from "../version.ts";
import type { History } from "./history.ts";
import { readiness } from "./readiness.ts";
import type { GatewayStatus } from "./schema.ts";

/** Errors that /status tells; /history has more. */
const MOST_ERRORS = 5;

/** @param now ms since 1970 */
export function describeStatus(
  link: LinkSnapshot,
  history: Pick<History, "errors">,
  now: number,
): GatewayStatus {
  const { phase, since, gateway, gatewayId, relay, reconnects, lastError } = link;
  const { open, served, failed, refused, bytesIn, bytesOut } = link.channels;
  const { ready, reason } = readiness(link);
  return {
    version: VERSION,
    gateway,
    gatewayId,
    ready,
    reason: redact(reason),
    phase,
    since: since.toISOString(),
    for: Math.max(0, Math.round((now - since.getTime()) / 1000)),
    relay,
    latency: link.latency === undefined ? undefined : Math.round(link.latency * 10) / 10,
    reconnects,
    channels: { open, served, failed },
    targetsRefused: refused,
    bytes: { in: bytesIn, out: bytesOut },
    certificatesEnd: link.certificatesEnd?.toISOString(),
    nextRenewal: link.nextRenewal?.toISOString(),
    heartbeat: link.heartbeat?.toISOString(),
    lastError: lastError && shown(lastError.code, lastError.message, lastError.hint, lastError.at),
    errors: history.errors(MOST_ERRORS).map(({ code = "", text, hint, at, times }) => ({
      ...shown(code, text, hint, new Date(at)),
      times,
    })),
  };
}

function shown(code: string, message: string, hint: string | undefined, at: Date) {
  return {
    code,
    message: redact(message),
    ...(hint !== undefined && { hint: redact(hint) }),
    at: at.toISOString(),
  };
}
