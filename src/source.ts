/** Where a connection comes from: whom it is counted for, and what is said of it. Pure. */
import { isIPv4 } from "node:net";

/** IPv4 that a socket of both families tells in IPv6's spelling (RFC 4291 §2.5.5.2) as it is known; others as they are. */
export function plainAddress(remoteAddress = ""): string {
  const [, mapped = remoteAddress] = /^::ffff:([\d.]+)$/i.exec(remoteAddress) ?? [];
  return mapped;
}

/**
 * The source that a remote address counts for: an IPv4 address, or the /64 of an IPv6 address, which is
 * what one customer has at least (RFC 6177 §2), so that changing the low half gains nothing. IPv4 in
 * its IPv6 spelling is IPv4. An address that cannot be read counts as it is written.
 */
export function sourceOf(remoteAddress: string | undefined): string {
  const address = plainAddress(remoteAddress).replace(/%.*$/, "");
  if (isIPv4(address) || !URL.canParse(`http://[${address}]`)) return address;
  // The URL parser writes every spelling in the form of RFC 5952, without dots.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const words = wordsOf(canonical);
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) {
    const [high, low] = [words[6]!, words[7]!];
    return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  }
  return `${words.slice(0, 4).map((word) => word.toString(16)).join(":")}::/64`;
}

function wordsOf(canonical: string): number[] {
  const [head = [], tail = []] = canonical.split("::")
    .map((part) => part === "" ? [] : part.split(":").map((word) => parseInt(word, 16)));
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
