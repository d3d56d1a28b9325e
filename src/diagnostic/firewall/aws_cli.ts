/** AWS: a shell script that changes a security group with the AWS CLI. Pure. */
import { heading } from "./heading.ts";
import { cidr } from "./network.ts";
import type { Policy, Rule } from "./policy.ts";

/** The script. Security groups let answers through by themselves. */
export function awsCli(policy: Policy): string {
  return [
    ...heading(policy, {
      load: "SECURITY_GROUP=sg-ID sh FILE, once; again only after the undoing",
      undo: "the same with authorize and revoke changed for each other",
    }),
    "set -e",
    ': "${SECURITY_GROUP:?set it to the id of the gateway\'s security group}"',
    ...policy.rules.map((rule) => call("authorize", permission(rule))),
    ...(policy.only
      ? [
        "# The rule that every new group has, and that lets everything out.",
        ...EVERYTHING.map((all) => `${call("revoke", all)} || true`),
      ]
      : []),
  ].join("\n");
}

function call(verb: "authorize" | "revoke", what: unknown): string {
  return `aws ec2 ${verb}-security-group-egress --group-id "$SECURITY_GROUP" ` +
    `--ip-permissions '${JSON.stringify([what])}'`;
}

function permission({ networks, protocol, port, label: Description }: Rule): unknown {
  const v4 = networks.filter(({ family }) => family === 4);
  const v6 = networks.filter(({ family }) => family === 6);
  return {
    IpProtocol: protocol,
    FromPort: port ?? 0,
    ToPort: port ?? 65535,
    ...(v4.length > 0 && { IpRanges: v4.map((n) => ({ CidrIp: cidr(n), Description })) }),
    ...(v6.length > 0 && { Ipv6Ranges: v6.map((n) => ({ CidrIpv6: cidr(n), Description })) }),
  };
}

const EVERYTHING = [
  { IpProtocol: "-1", IpRanges: [{ CidrIp: "0.0.0.0/0" }] },
  { IpProtocol: "-1", Ipv6Ranges: [{ CidrIpv6: "::/0" }] },
];
