/** One rule of a target policy, as a person writes it: hosts or networks, and ports. Pure. */
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { type Address, covers, type Network, readNetwork } from "./policy_address.ts";

/** What a rule covers. Where it says nothing, it covers everything. */
export interface Rule {
  /** As it was written. */
  text: string;
  network?: Network;
  /** Fits the names that the rule covers. */
  name?: RegExp;
  ports?: { first: number; last: number };
}

/** What a rule is asked about. */
export interface Destination {
  /** As it was asked for: a name or an address. */
  host: string;
  /** What is dialled. */
  address: Address;
  port: number;
}

/** How rules are written, for help and hints. */
export const RULE_FORMS =
  "db.internal:5432, *.internal, 10.0.0.0/8:1-1023, [fd00::/8]:443 or *:443";

/** Reads a rule; an error's text if it makes no sense. */
export function readRule(written: string): Rule | string {
  const text = written.trim();
  const [place, portsText] = split(text);
  const rule: Rule = { text };
  if (portsText !== undefined) {
    const ports = readPorts(portsText);
    if (typeof ports === "string") return `"${text}": ${ports}`;
    rule.ports = ports;
  }
  if (place === "*" || (place === "" && portsText !== undefined)) return rule;
  if (place.includes("/") || isIP(place) || text.startsWith("[")) {
    const network = readNetwork(place);
    return typeof network === "string" ? `"${text}": ${network}` : { ...rule, network };
  }
  const name = readPattern(place);
  return typeof name === "string" ? `"${text}": ${name}` : { ...rule, name };
}

/** Whether a rule covers a destination. */
export function matches({ network, name, ports }: Rule, to: Destination): boolean {
  if (ports && (to.port < ports.first || to.port > ports.last)) return false;
  if (network) return covers(network, to.address);
  return !name || (isIP(to.host) === 0 && name.test(canonicalName(to.host)));
}

/** A name in the one form in which names are compared. */
export function canonicalName(name: string): string {
  const plain = name.normalize("NFKC").toLowerCase();
  return (domainToASCII(plain) || plain).replace(/\.+$/, "");
}

/** Place and ports: `[v6]:ports`, `[v6/prefix]:ports`, a bare v6 without ports, or `place:ports`. */
function split(text: string): [place: string, ports: string | undefined] {
  const bracketed = /^\[([^\]]*)\](\/\d+)?(?::(.*))?$/.exec(text);
  if (bracketed) return [bracketed[1]! + (bracketed[2] ?? ""), bracketed[3]];
  const colons = text.split(":").length - 1;
  if (colons !== 1) return [text, undefined];
  const at = text.indexOf(":");
  return [text.slice(0, at), text.slice(at + 1)];
}

function readPorts(text: string): NonNullable<Rule["ports"]> | string {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (first >= 1 && first <= last && last <= 65535) return { first, last };
  return `"${text}" is neither a port nor a range of ports such as 8000-8999`;
}

/** `*.` in front stands for one or more labels, any other `*` for a part of one label. */
function readPattern(pattern: string): RegExp | string {
  const any = "xn0any0";
  const plain = canonicalName(pattern.replaceAll("*", any)).replaceAll(any, "*");
  if (!/^(\*\.)?[a-z0-9_*-]+(\.[a-z0-9_*-]+)*$/.test(plain)) {
    return "it is neither a name, an address nor a network";
  }
  if (/(^|\.)(\d+|0x[0-9a-f]*)$/.test(plain)) return "an address is written with all its parts";
  const [, under, rest] = /^(\*\.)?(.*)$/.exec(plain)!;
  const body = rest!.replaceAll(".", "\\.").replaceAll("*", "[^.]*");
  return new RegExp(`^${under ? "(?:[^.]+\\.)+" : ""}${body}$`);
}
