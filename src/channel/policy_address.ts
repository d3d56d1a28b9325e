/** IP addresses and networks as numbers, so that each has one form however it is spelled. Pure. */
import { isIP } from "node:net";

/** An address. IPv4 addresses that are mapped into IPv6 (RFC 4291 §2.5.5.2) are IPv4 here. */
export interface Address {
  family: 4 | 6;
  bits: bigint;
}

/** All addresses that share their first `prefix` bits. */
export interface Network extends Address {
  /** 32 or 128: one address alone. */
  prefix: number;
}

const LENGTH = { 4: 32, 6: 128 } as const;
const LOW_32 = 0xffff_ffffn;

/** Reads an address, an IPv6 one with or without a zone; undefined if it is none. */
export function readAddress(text: string): Address | undefined {
  const family = isIP(text);
  if (family === 4) return { family, bits: join(text.split(".").map(Number), 8n) };
  if (family !== 6) return undefined;
  const bits = bitsOf6(text.replace(/%.*$/, ""));
  // ::ffff:0:0/96: to the system, and so to us, another way to write the IPv4 address.
  return bits >> 32n === 0xffffn ? { family: 4, bits: bits & LOW_32 } : { family, bits };
}

/** Reads `address` or `address/prefix`; an error's text if it is something else. */
export function readNetwork(text: string): Network | string {
  const [base = "", length, ...more] = text.split("/");
  const address = base.includes("%") ? undefined : readAddress(base);
  if (!address || more.length > 0) return "it is not an address or a network";
  const written = isIP(base) === 6 ? 6 : 4;
  const given = length === undefined ? LENGTH[written] : Number(length);
  if ((length !== undefined && !/^\d{1,3}$/.test(length)) || given > LENGTH[written]) {
    return `an IPv${written} prefix has 0 to ${LENGTH[written]} bits`;
  }
  const prefix = given - (LENGTH[written] - LENGTH[address.family]);
  if (prefix < 0) return "it covers IPv4 addresses and others: write them as networks of their own";
  if ((address.bits & hostMask(address.family, prefix)) !== 0n) {
    return "its address goes on behind the prefix: write the network's first address";
  }
  return { ...address, prefix };
}

/** Whether the network covers the address. */
export function covers(network: Network, { family, bits }: Address): boolean {
  if (network.family !== family) return false;
  const behind = BigInt(LENGTH[family] - network.prefix);
  return bits >> behind === network.bits >> behind;
}

/** Whether every address of `inner` is one of `outer`. */
export function within(inner: Network, outer: Network): boolean {
  return inner.prefix >= outer.prefix && covers(outer, inner);
}

/** Whether it is one address alone. */
export function isSingle({ family, prefix }: Network): boolean {
  return prefix === LENGTH[family];
}

/** The system takes an address of zeros for itself. */
export function meantBy(address: Address): Address {
  if (address.bits !== 0n) return address;
  return { family: address.family, bits: address.family === 4 ? 0x7f00_0001n : 1n };
}

/**
 * The IPv4 address that a translator or a tunnel on the way would make of an IPv6 one: NAT64 (RFC 6052,
 * RFC 8215), SIIT (RFC 2765), 6to4 (RFC 3056), ISATAP (RFC 5214), IPv4-compatible (RFC 4291).
 */
export function embedded({ family, bits }: Address): Address | undefined {
  if (family === 4) return undefined;
  const last: Address = { family: 4, bits: bits & LOW_32 };
  const first96 = bits >> 32n;
  if (first96 === 0x64_ff9bn << 64n || bits >> 80n === 0x64_ff9b_0001n) return last;
  if (first96 === 0xffff_0000n) return last;
  if (first96 === 0n && bits > 1n) return last;
  if (bits >> 112n === 0x2002n) return { family: 4, bits: (bits >> 80n) & LOW_32 };
  if ((first96 & 0xfdff_ffffn) === 0x5efen) return last;
  return undefined;
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback({ family, bits }: Address): boolean {
  return family === 4 ? bits >> 24n === 127n : bits === 1n;
}

function hostMask(family: 4 | 6, prefix: number): bigint {
  return (1n << BigInt(LENGTH[family] - prefix)) - 1n;
}

function bitsOf6(address: string): bigint {
  // The URL parser writes every spelling in the form of RFC 5952, without dots.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = canonical.split("::")
    .map((part) => part === "" ? [] : part.split(":").map((word) => parseInt(word, 16)));
  const zeros = Array<number>(8 - head.length - tail.length).fill(0);
  return join([...head, ...zeros, ...tail], 16n);
}

function join(parts: readonly number[], bits: bigint): bigint {
  return parts.reduce((sum, part) => (sum << bits) | BigInt(part), 0n);
}
