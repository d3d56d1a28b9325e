/** IP addresses and networks, as firewalls take them. Pure. */
import { isIP } from "node:net";
import { SallyportError } from "../../errors.ts";

/** One address, or all that share its first `prefix` bits. */
export interface Network {
  family: 4 | 6;
  address: string;
  /** 32 or 128: the address alone. */
  prefix: number;
}

/** Bits of an address. */
const BITS = { 4: 32, 6: 128 };

/**
 * Reads an address or `address/prefix`; undefined if `text` looks like neither. Throws `usage` if the
 * prefix is too long, or shorter than the address needs: cloud firewalls refuse such a network.
 */
export function parseNetwork(text: string): Network | undefined {
  const match = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text);
  const family = isIP(match?.[1] ?? "");
  if (family !== 4 && family !== 6) return undefined;
  const address = family === 4 ? match![1]! : canonical6(match![1]!);
  const prefix = match![2] === undefined ? BITS[family] : Number(match![2]);
  if (prefix > BITS[family]) {
    throw new SallyportError("usage", `"${text}": an IPv${family} prefix has ${BITS[family]} bits`);
  }
  const hostBits = numberOf(address, family) & ((1n << BigInt(BITS[family] - prefix)) - 1n);
  if (hostBits !== 0n) {
    throw new SallyportError("usage", `"${text}": the address goes on behind its prefix`, {
      hint: `write a network's first address, or a longer prefix; ${address} alone needs none`,
    });
  }
  return { family, address, prefix };
}

/** `address/prefix`, always with the prefix. */
export function cidr({ address, prefix }: Network): string {
  return `${address}/${prefix}`;
}

/** The bare address where it stands alone, else `address/prefix`. */
export function formatNetwork(network: Network): string {
  return network.prefix === BITS[network.family] ? network.address : cidr(network);
}

/** In numeric order, IPv4 first, each once: the same answer of a resolver gives the same rules. */
export function inOrder(networks: readonly Network[]): Network[] {
  const unique = new Map(networks.map((network) => [cidr(network), network]));
  return [...unique.values()].sort((a, b) => {
    if (a.family !== b.family) return a.family - b.family;
    const difference = numberOf(a.address, a.family) - numberOf(b.address, b.family);
    return difference === 0n ? a.prefix - b.prefix : difference < 0n ? -1 : 1;
  });
}

/** RFC 5952, by way of the URL parser. */
function canonical6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function numberOf(address: string, family: 4 | 6): bigint {
  if (family === 4) return join(address.split(".").map(Number), 8n);
  const [head = [], tail = []] = address.split("::")
    .map((part) => part === "" ? [] : part.split(":").map((word) => parseInt(word, 16)));
  const zeros = Array<number>(8 - head.length - tail.length).fill(0);
  return join([...head, ...zeros, ...tail], 16n);
}

function join(parts: readonly number[], bits: bigint): bigint {
  return parts.reduce((sum, part) => (sum << bits) | BigInt(part), 0n);
}
