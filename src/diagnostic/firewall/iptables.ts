/** iptables and ip6tables: a shell script that puts a chain of its own in front of OUTPUT. Pure. */
import { heading } from "./heading.ts";
import { byFamily, type FamilyRule } from "./family.ts";
import { cidr } from "./network.ts";
import type { Policy } from "./policy.ts";

const CHAIN = "SALLYPORT";

/** The script. Running it again replaces the chain and leaves one jump to it. */
export function iptables(policy: Policy): string {
  return [
    ...heading(policy, {
      load: "sh FILE, as root; netfilter-persistent save keeps it over a restart",
      undo: `for t in iptables ip6tables; do $t -D OUTPUT -j ${CHAIN}; $t -F ${CHAIN}; ` +
        `$t -X ${CHAIN}; done`,
    }),
    "set -e",
    ...load("iptables", chain(policy, 4)),
    "# Without IPv6 in the kernel there is nothing to load and nothing to refuse.",
    "[ -e /proc/net/if_inet6 ] || exit 0",
    ...load("ip6tables", chain(policy, 6)),
  ].join("\n");
}

function load(tool: string, lines: string[]): string[] {
  return [
    `${tool}-restore --noflush <<'RULES'`,
    "*filter",
    `:${CHAIN} - [0:0]`,
    ...lines.map((line) => `-A ${CHAIN} ${line}`),
    "COMMIT",
    "RULES",
    `${tool} -C OUTPUT -j ${CHAIN} 2>/dev/null || ${tool} -I OUTPUT 1 -j ${CHAIN}`,
  ];
}

function chain({ rules, only }: Policy, family: 4 | 6): string[] {
  const own = byFamily(rules).filter((rule) => rule.family === family).flatMap(accept);
  if (!only) return own;
  return [
    "-o lo -j ACCEPT",
    "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    ...(family === 4 ? LINK_4 : LINK_6),
    ...own,
    "-j REJECT",
  ];
}

/** What a host needs to have an address at all: DHCP. */
const LINK_4 = ["-p udp --sport 68 --dport 67 -j ACCEPT"];

/** DHCPv6; and router and neighbour discovery and multicast reports (RFC 4861, RFC 3810), by number. */
const LINK_6 = [
  "-p udp --sport 546 --dport 547 -j ACCEPT",
  ...[133, 135, 136, 143].map((type) => `-p ipv6-icmp --icmpv6-type ${type} -j ACCEPT`),
];

function accept({ networks, protocol, port, label }: FamilyRule): string[] {
  const to = port === undefined ? "" : ` --dport ${port}`;
  return networks.map((network) =>
    `-d ${cidr(network)} -p ${protocol}${to} -m comment --comment "${label}" -j ACCEPT`
  );
}
