/** Table: format → how rules are written in it. Another firewall is one file and one line here. */
import { awsCli } from "./aws_cli.ts";
import { awsCloudformation } from "./aws_cloudformation.ts";
import { awsTerraform } from "./aws_terraform.ts";
import { azure } from "./azure.ts";
import { firewalld } from "./firewalld.ts";
import { gcp } from "./gcp.ts";
import { iptables } from "./iptables.ts";
import { json } from "./json.ts";
import { letter } from "./letter.ts";
import { nftables } from "./nftables.ts";
import { pf } from "./pf.ts";
import type { Policy } from "./policy.ts";
import { ufw } from "./ufw.ts";
import { windows } from "./windows.ts";

/** Writes a policy, without a newline at the end. */
export type Renderer = (policy: Policy) => string;

/** Every format by the name that a person gives it. */
export const FORMATS = {
  "text": letter,
  iptables,
  nftables,
  ufw,
  firewalld,
  pf,
  windows,
  "aws-cli": awsCli,
  "aws-cloudformation": awsCloudformation,
  "aws-terraform": awsTerraform,
  gcp,
  azure,
  json,
} as const satisfies Record<string, Renderer>;

/** A format's name. */
export type Format = keyof typeof FORMATS;
