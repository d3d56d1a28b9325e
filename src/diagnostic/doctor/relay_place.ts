/** The relay's SSH port as a place that a firewall must let out. Pure. */
import type { RelayAddress } from "../../link/relay_address.ts";
import type { DoctorContext } from "./context.ts";
import { firewallCommand, type Place } from "./reach.ts";

/** See above. */
export function relayPlace(
  { domain, timeout }: Pick<DoctorContext, "domain" | "timeout">,
  address: RelayAddress,
): Place {
  return {
    what: "the relay",
    ...address,
    rule: firewallCommand(domain, address),
    code: "relay-unreachable",
    waited: timeout,
  };
}
