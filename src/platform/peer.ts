/** Whom a network address stands for, where somebody is counted by it. Pure. */
import { isIPv4, isIPv6 } from "node:net";

/** Groups of an IPv6 address that name a network: a /64 is what one customer has, at the least. */
const NETWORK_GROUPS = 4;

/**
 * The address itself for IPv4, its /64 for IPv6 (RFC 6177: whoever has one such address has all of
 * them); an IPv4 address that IPv6 carries (RFC 4291 §2.5.5.2) is an IPv4 address.
 */
export function peerOf(address: string): string {
  const plain = address.replace(/%.*$/, "").toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return mapped;
  if (!isIPv6(plain)) return plain;
  const [head = "", tail] = plain.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const before = groups(head);
  // An IPv4 address at the end stands for two groups.
  const after = groups(tail ?? "");
  const length = before.length + after.length + (plain.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - length)).fill("0");
  const network = [...before, ...zeros, ...after].slice(0, NETWORK_GROUPS)
    .map((group) => group.replace(/^0+(?=.)/, ""));
  return `${network.join(":")}::/64`;
}
