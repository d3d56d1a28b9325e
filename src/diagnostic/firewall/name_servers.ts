/** Which name servers this machine's packets go to. Pure. */
import { parseNetwork } from "./network.ts";

/**
 * The servers in `configured`, unless all are on this machine's loopback: then those that the one there
 * asks in turn, as `upstream` (a resolv.conf, such as systemd-resolved keeps) names them. Empty if
 * nobody knows.
 */
export function nameServers(configured: readonly string[], upstream: string): string[] {
  const direct = remote(configured);
  return direct.length > 0
    ? direct
    : remote([...upstream.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address]) => address!));
}

function remote(servers: readonly string[]): string[] {
  const addresses = servers.filter((server) => parseNetwork(server) !== undefined);
  return [...new Set(addresses)].filter((address) =>
    !address.startsWith("127.") && address !== "::1"
  );
}
