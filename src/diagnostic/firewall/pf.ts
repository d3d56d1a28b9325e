/** pf (macOS, FreeBSD, OpenBSD): the rules of an anchor. Pure. */
import { heading } from "./heading.ts";
import { byFamily } from "./family.ts";
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

/** The file. A rule with `quick` decides, so that no later one of the machine's own does. */
export function pf(policy: Policy): string {
  const rules = byFamily(policy.rules).flatMap(({ family, networks, protocol, port, label }) => [
    `# ${label}`,
    `pass out quick ${family === 4 ? "inet" : "inet6"} proto ${protocol} to ` +
    `{ ${networks.map(formatNetwork).join(", ")} }${
      port === undefined ? "" : ` port ${port}`
    } keep state`,
  ]);
  return [
    ...heading(policy, {
      load: "pfctl -a com.apple/sallyport -f FILE && pfctl -E (macOS); elsewhere name the anchor " +
        'in pf.conf: anchor "sallyport", then pfctl -a sallyport -f FILE',
      undo: "pfctl -a com.apple/sallyport -F rules",
    }),
    ...(policy.only ? [...BEFORE, ...rules, "block return out quick all"] : rules),
  ].join("\n");
}

const BEFORE = [
  "pass out quick on lo0 all",
  "# Answers to connections from outside: segments with ACK open none of their own.",
  "pass out quick proto tcp all flags A/A no state",
  "# What a host needs to have an address at all: DHCP; IPv6 discovery and multicast reports.",
  "pass out quick proto udp from any port 68 to any port 67",
  "pass out quick inet6 proto udp from any port 546 to any port 547",
  ...[133, 135, 136, 143]
    .map((type) => `pass out quick inet6 proto ipv6-icmp all icmp6-type ${type}`),
];
