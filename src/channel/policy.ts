/**
 * Which targets a gateway connects to. The decision is made for each address that is about to be
 * dialled, whatever name led to it. Pure; where it is enforced is policy_dial.ts.
 */
import type { ListenAddress } from "../listen.ts";
import {
  type Address,
  covers,
  embedded,
  isLoopback,
  isSingle,
  meantBy,
  type Network,
  readAddress,
  readNetwork,
  within,
} from "./policy_address.ts";
import { type Destination, matches, readRule, type Rule } from "./policy_rule.ts";

/** What the host's owner has said. */
export interface TargetPolicy {
  /** If there is one, what no rule covers is refused. */
  allow: readonly Rule[];
  /** Stronger than every `allow`. */
  deny: readonly Rule[];
  /** Where the gateway's own health is served. */
  health?: ListenAddress;
}

/** What is to be decided. */
export interface Question {
  /** What the platform named: a name or an address. */
  host: string;
  /** The address that is dialled. */
  address: string;
  port: number;
  /** The connection, once made, turned out to lead to this host itself. */
  here?: boolean;
}

/** A decision, and what it rests on. */
export interface Verdict {
  allowed: boolean;
  /** A clause that goes on "it is allowed" or "it is refused". */
  why: string;
}

/** What is in force where nobody has said anything. */
export const OPEN_POLICY: TargetPolicy = { allow: [], deny: [] };

/** Never meant by a target's name, unless a rule gives the address itself. */
const RESERVED: readonly { network: Network; what: string }[] = [
  ...reserved("cloud metadata addresses", [
    // AWS, Google Cloud, Azure, Oracle, DigitalOcean and others; AWS's and Google Cloud's IPv6 ones.
    "169.254.169.254",
    "fd00:ec2::254",
    "fd20:ce::254",
    // AWS's credentials of containers.
    "169.254.170.2",
    "fd00:ec2::23",
    // Azure's host agent; Alibaba Cloud; Oracle Cloud's older one.
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
  ]),
  ...reserved("link-local addresses", ["169.254.0.0/16", "fe80::/10"]),
  ...reserved("multicast addresses", ["224.0.0.0/4", "ff00::/8"]),
  ...reserved("broadcast addresses", ["255.255.255.255"]),
];

function reserved(what: string, texts: string[]): { network: Network; what: string }[] {
  return texts.map((text) => ({ network: readNetwork(text) as Network, what }));
}

/** Reads rules that are separated by commas; an error's text for the first that makes no sense. */
export function readRules(text: string): Rule[] | string {
  const rules = text.split(",").map((one) => one.trim()).filter((one) => one !== "").map(readRule);
  // An empty list would allow everything, and whoever wrote one did not mean that.
  if (rules.length === 0) return "it holds no rule";
  return rules.find((rule) => typeof rule === "string") ?? rules as Rule[];
}

/** Decides. An address that cannot be read is refused. */
export function decide(policy: TargetPolicy, { host, address, port, here }: Question): Verdict {
  const read = readAddress(address);
  if (!read) return refused(`because "${address}" is not an address`);
  const dialled = meantBy(read);
  const hidden = embedded(dialled);
  const to: Destination = { host, address: dialled, port };
  // What refuses looks at all that the address may turn out to be, what allows at what it is.
  const faces = [to, { ...to, address: read }];
  if (hidden) faces.push({ ...to, address: meantBy(hidden) });

  const denied = policy.deny.find((rule) => faces.some((face) => matches(rule, face)));
  if (denied) return refused(`by --deny ${denied.text}`);

  const { health } = policy;
  if (health && health.port === port && faces.some((face) => isHealth(health, face, here))) {
    const named = policy.allow.find((rule) => namesHealth(rule, to));
    if (!named) return refused("because the gateway's own health address always is");
    return allowed(`by --allow ${named.text}`);
  }
  const hit = RESERVED.find(({ network }) => faces.some((face) => covers(network, face.address)));
  if (hit) {
    const named = policy.allow.find((rule) => matches(rule, to) && names(rule, hit.network));
    if (!named) return refused(`because ${hit.what} always are`);
    return allowed(`by --allow ${named.text}`);
  }
  if (policy.allow.length === 0) return allowed("because no rule speaks of it");
  const rule = policy.allow.find((rule) => matches(rule, to));
  return rule ? allowed(`by --allow ${rule.text}`) : refused("because no --allow covers it");
}

function allowed(why: string): Verdict {
  return { allowed: true, why };
}

function refused(why: string): Verdict {
  return { allowed: false, why };
}

/** A rule for a whole network, or for a name, does not mean the reserved addresses in it. */
function names({ network }: Rule, reserved: Network): boolean {
  return network !== undefined && (isSingle(network) || within(network, reserved));
}

/** Loopback is allowed often, and so is every port: only address and port together mean health. */
function namesHealth(rule: Rule, to: Destination): boolean {
  const { network, ports } = rule;
  return network !== undefined && isSingle(network) && ports !== undefined &&
    ports.first === ports.last && matches(rule, to);
}

function isHealth({ host }: ListenAddress, to: Destination, here = false): boolean {
  const bound = readAddress(host);
  if (bound && bound.bits !== 0n) return same(bound, to.address);
  return here || isLoopback(to.address);
}

function same(a: Address, b: Address): boolean {
  return a.family === b.family && a.bits === b.bits;
}
