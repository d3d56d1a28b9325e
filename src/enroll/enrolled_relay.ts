/** The calls of a relay that has a token of its own: by that the platform knows its name and type. */
import type { PlatformApi } from "./api.ts";

/** The calls that a relay makes. */
export type RelayCalls =
  & Pick<PlatformApi, "registerRelay" | "relayHeartbeat">
  & Partial<Pick<PlatformApi, "revocations">>;

/** A relay's calls, made as an enrolled relay makes them (v2). */
export function enrolledRelay(
  api: Pick<PlatformApi, "connectRelay" | "enrolledRelayHeartbeat" | "revocations">,
): RelayCalls {
  return {
    registerRelay: (place, signal) => api.connectRelay(place, signal),
    revocations: (asking, signal) => api.revocations(asking, signal),
    relayHeartbeat: (_relay, signal) => api.enrolledRelayHeartbeat(signal),
  };
}
