/** AWS: a Terraform (OpenTofu) file. Pure. */
import { heading } from "./heading.ts";
import { cidr } from "./network.ts";
import type { Policy } from "./policy.ts";

/**
 * The file: rules for a group that is there, or with `only` a new group. The provider takes from a group
 * that it makes the rule that lets everything out.
 */
export function awsTerraform(policy: Policy): string {
  const variable = policy.only ? "vpc_id" : "security_group_id";
  const group = policy.only ? "aws_security_group.gateway.id" : "var.security_group_id";
  const rules = policy.rules.flatMap(({ id, networks, protocol, port, label }) =>
    networks.flatMap((network, i) => [
      "",
      `resource "aws_vpc_security_group_egress_rule" "${id}-${i + 1}" {`,
      ...assignments({
        security_group_id: group,
        description: quote(label),
        ip_protocol: quote(protocol),
        from_port: String(port ?? 0),
        to_port: String(port ?? 65535),
        [network.family === 4 ? "cidr_ipv4" : "cidr_ipv6"]: quote(cidr(network)),
      }),
      "}",
    ])
  );
  return [
    ...heading(policy, {
      load: `terraform apply -var ${variable}=ID, with this file in a folder of its own`,
      undo: "terraform destroy",
    }),
    `variable "${variable}" {`,
    "  type = string",
    "}",
    ...(policy.only ? newGroup() : []),
    ...rules,
  ].join("\n");
}

function newGroup(): string[] {
  return [
    "",
    'resource "aws_security_group" "gateway" {',
    ...assignments({
      name: quote("sallyport-gateway"),
      description: quote("A sallyport gateway, which reaches these and nothing else"),
      vpc_id: "var.vpc_id",
    }),
    "}",
    "",
    'output "security_group_id" {',
    "  value = aws_security_group.gateway.id",
    "}",
  ];
}

/** Aligned, as terraform fmt has it. */
function assignments(values: Record<string, string>): string[] {
  const width = Math.max(...Object.keys(values).map((name) => name.length));
  return Object.entries(values).map(([name, value]) => `  ${name.padEnd(width)} = ${value}`);
}

function quote(text: string): string {
  return `"${text}"`;
}
