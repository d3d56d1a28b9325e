/** Where a relay's SSH port is, and which names its host certificate may carry for that. */
import { isIPv6 } from "node:net";
import { SallyportError } from "../errors.ts";
import { formatAddress } from "../listen.ts";

/** Port of a relay that names none (protocol.md, "SSH"). */
export const SSH_PORT = 2222;

/** A relay's SSH address. */
export interface RelayAddress {
  /** Name or address, without brackets. */
  host: string;
  port: number;
}

/** Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. Throws `api-malformed`. */
export function parseRelayAddress(text: string): RelayAddress {
  const bare = text.trim();
  if (isIPv6(bare)) return { host: bare, port: SSH_PORT };
  const match = /^(?:\[([^\]]+)\]|([^:\s\[\]\/]+))(?::(\d{1,5}))?$/.exec(bare);
  const port = match?.[3] === undefined ? SSH_PORT : Number(match[3]);
  const bracketed = match?.[1];
  const badBrackets = bracketed !== undefined && !isIPv6(bracketed);
  if (!match || badBrackets || port < 1 || port > 65535) {
    throw new SallyportError(
      "api-malformed",
      `the platform gives ${JSON.stringify(text)} as the relay's address`,
      { hint: "the relay must be registered with its host name or address, and a port at most" },
    );
  }
  return { host: bracketed ?? match[2]!, port };
}

/** Names in a host certificate that fit the address: `<host>:<port>` and `<host>` (protocol.md). */
export function hostPrincipals({ host, port }: RelayAddress): string[] {
  const names = [formatAddress({ host, port }), `${host}:${port}`, host];
  return [...new Set(names)];
}

/** `host:port` as people write it. */
export const formatRelayAddress: (address: RelayAddress) => string = formatAddress;
