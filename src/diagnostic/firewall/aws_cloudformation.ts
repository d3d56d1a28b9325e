/** AWS: a CloudFormation template. Pure. */
import { heading } from "./heading.ts";
import { cidr } from "./network.ts";
import type { Policy } from "./policy.ts";

/**
 * The template: rules for a group that is there, or with `only` a new group, because a template cannot
 * take from a group the rule that lets everything out.
 */
export function awsCloudformation(policy: Policy): string {
  const parameter = policy.only ? "VpcId=vpc-ID" : "SecurityGroupId=sg-ID";
  return [
    ...heading(policy, {
      load: "aws cloudformation deploy --stack-name sallyport-firewall --template-file FILE " +
        `--parameter-overrides ${parameter}`,
      undo: "aws cloudformation delete-stack --stack-name sallyport-firewall",
    }),
    'AWSTemplateFormatVersion: "2010-09-09"',
    "Description: Outbound rules of a sallyport gateway",
    ...(policy.only ? newGroup(policy) : rulesForGroup(policy)),
  ].join("\n");
}

function newGroup(policy: Policy): string[] {
  return [
    ...parameter("VpcId", "AWS::EC2::VPC::Id"),
    "Resources:",
    "  Gateway:",
    "    Type: AWS::EC2::SecurityGroup",
    "    Properties:",
    "      GroupDescription: A sallyport gateway, which reaches these and nothing else",
    "      VpcId: !Ref VpcId",
    "      SecurityGroupEgress:",
    ...permissions(policy).flatMap(([first, ...others]) => [
      `        - ${first}`,
      ...others.map((line) => `          ${line}`),
    ]),
    "Outputs:",
    "  SecurityGroupId:",
    "    Value: !GetAtt Gateway.GroupId",
  ];
}

function rulesForGroup(policy: Policy): string[] {
  return [
    ...parameter("SecurityGroupId", "AWS::EC2::SecurityGroup::Id"),
    "Resources:",
    ...permissions(policy).flatMap((lines, i) => [
      `  Egress${i + 1}:`,
      "    Type: AWS::EC2::SecurityGroupEgress",
      "    Properties:",
      "      GroupId: !Ref SecurityGroupId",
      ...lines.map((line) => `      ${line}`),
    ]),
  ];
}

function parameter(name: string, type: string): string[] {
  return ["Parameters:", `  ${name}:`, `    Type: ${type}`];
}

function permissions({ rules }: Policy): string[][] {
  return rules.flatMap(({ networks, protocol, port, label }) =>
    networks.map((network) => [
      `Description: "${label}"`,
      `IpProtocol: ${protocol}`,
      `FromPort: ${port ?? 0}`,
      `ToPort: ${port ?? 65535}`,
      `${network.family === 4 ? "CidrIp" : "CidrIpv6"}: "${cidr(network)}"`,
    ])
  );
}
