/** Whether traffic can pass. Pure. */
import type { LinkSnapshot } from "../link/state.ts";

/** Whether traffic can pass, and why not. */
export interface Readiness {
  ready: boolean;
  /** One sentence. */
  reason: string;
}

/** Readiness of a link in a given state: only a live tunnel is ready. */
export function readiness(link: LinkSnapshot): Readiness {
  const fault = link.lastError ? `: ${link.lastError.message}` : "";
  switch (link.phase) {
    case "up":
      return {
        ready: true,
        reason: `the tunnel is up through ${link.relay?.address ?? "a relay"}`,
      };
    case "starting":
      return { ready: false, reason: `the gateway is not registered yet${fault}` };
    case "connecting":
      return { ready: false, reason: `connecting to ${link.relay?.address ?? "a relay"}${fault}` };
    case "draining":
      return { ready: false, reason: "the gateway is stopping" };
    case "down":
      return { ready: false, reason: `the tunnel is down${fault}` };
  }
}
