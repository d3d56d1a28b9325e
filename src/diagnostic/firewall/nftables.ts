/** nftables: a file for nft. Pure. */
import { heading } from "./heading.ts";
import { byFamily, type FamilyRule } from "./family.ts";
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

/** The file. */
export function nftables(policy: Policy): string {
  return policy.only ? whole(policy) : additive(policy);
}

/** A table of its own: what it refuses, no other table can let through. Loading it again replaces it. */
function whole(policy: Policy): string {
  return [
    ...heading(policy, {
      load: "nft -f FILE, as root; included from /etc/nftables.conf it stays",
      undo: "nft delete table inet sallyport",
    }),
    "table inet sallyport",
    "delete table inet sallyport",
    "table inet sallyport {",
    "  chain output {",
    "    type filter hook output priority filter; policy drop;",
    ...[
      'oifname "lo" accept',
      "ct state established,related accept",
      // What a host needs to have an address at all (RFC 4861, RFC 3810).
      "udp sport 68 udp dport 67 accept",
      "udp sport 546 udp dport 547 accept",
      "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, " +
      "mld2-listener-report } accept",
      ...byFamily(policy.rules).map(accept),
      "reject with icmpx type port-unreachable",
    ].map((line) => `    ${line}`),
    "  }",
    "}",
  ].join("\n");
}

/**
 * A packet must pass every table's chains, so that letting it through must happen in the chain that
 * would refuse it.
 */
function additive(policy: Policy): string {
  return [
    ...heading(policy, {
      load: "nft -f FILE, as root, once; again only after the undoing",
      undo: "delete the jump (nft -a list chain inet filter output shows its handle), " +
        "then nft delete chain inet filter sallyport",
    }),
    '# If your outbound rules are not in "inet filter", chain "output", write their names instead.',
    "add table inet filter",
    "add chain inet filter output",
    "add chain inet filter sallyport",
    "flush chain inet filter sallyport",
    ...byFamily(policy.rules).map((rule) => `add rule inet filter sallyport ${accept(rule)}`),
    "insert rule inet filter output jump sallyport",
  ].join("\n");
}

function accept({ family, networks, protocol, port, label }: FamilyRule): string {
  const to = `${family === 4 ? "ip" : "ip6"} daddr { ${networks.map(formatNetwork).join(", ")} }`;
  const match = port === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${port}`;
  return `${to} ${match} accept comment "${label}"`;
}
