/** firewalld (0.9 or newer): a shell script that makes a policy from this host to anywhere. Pure. */
import { heading } from "./heading.ts";
import { byFamily } from "./family.ts";
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

const POLICY = "sallyport-out";

/** The script. firewalld itself lets loopback and answers through. Running it again replaces all. */
export function firewalld(policy: Policy): string {
  const accepted = byFamily(policy.rules).flatMap(({ family, networks, protocol, port }) =>
    networks.map((network) => {
      const to = `rule family="ipv${family}" destination address="${formatNetwork(network)}"`;
      const match = port === undefined
        ? `protocol value="${protocol}"`
        : `port port="${port}" protocol="${protocol}"`;
      return `${to} ${match} accept`;
    })
  );
  const richRules = policy.only ? [...LINK, ...accepted] : accepted;
  return [
    ...heading(policy, {
      load: "sh FILE, as root",
      undo: `firewall-cmd --permanent --delete-policy=${POLICY} && firewall-cmd --reload`,
    }),
    "set -e",
    `firewall-cmd --permanent --delete-policy=${POLICY} >/dev/null 2>&1 || true`,
    `firewall-cmd --permanent --new-policy=${POLICY}`,
    change("--add-ingress-zone=HOST"),
    change("--add-egress-zone=ANY"),
    ...richRules.map((rule) => change(`--add-rich-rule='${rule}'`)),
    change(`--set-target=${policy.only ? "REJECT" : "CONTINUE"}`),
    "firewall-cmd --reload",
  ].join("\n");
}

function change(what: string): string {
  return `firewall-cmd --permanent --policy=${POLICY} ${what}`;
}

/** What a host needs to have an address at all (DHCP, RFC 4861). */
const LINK = [
  'rule family="ipv4" port port="67" protocol="udp" accept',
  'rule family="ipv6" port port="547" protocol="udp" accept',
  ...["router-solicitation", "neighbour-solicitation", "neighbour-advertisement"]
    .map((name) => `rule family="ipv6" icmp-type name="${name}" accept`),
];
