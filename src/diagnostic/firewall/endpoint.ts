/** Where packets may go, as a person writes it. Pure. */
import { isIPv6 } from "node:net";
import { SallyportError } from "../../errors.ts";
import { formatNetwork, type Network, parseNetwork } from "./network.ts";

/** A host, or a network, and a port of it. */
export interface Endpoint {
  /** Name, address, or address/prefix, without brackets. */
  host: string;
  /** Undefined: every port. */
  port?: number;
}

/** Addresses that a person gave for a name. */
export interface GivenAddress {
  name: string;
  network: Network;
}

/**
 * Reads `host`, `host:port`, `[v6]:port`, a bare IPv6 address, or `address/prefix:port`. Throws `usage`.
 * The text ends up in scripts that root runs: nothing but the letters of names and addresses passes.
 * @param port what counts where none is written
 */
export function parseEndpoint(text: string, port?: number): Endpoint {
  if (isIPv6(text) || /^[0-9a-f:]+:[0-9a-f:]*\/\d+$/i.test(text)) {
    return { host: readHost(text, text), port };
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const written = match?.[3] === undefined ? port : Number(match[3]);
  if (!match || written === 0 || (written ?? 1) > 65_535) throw bad(text);
  return { host: readHost(match[1] ?? match[2]!, text), port: written };
}

/** Reads `name=address` or `name=address/prefix`. Throws `usage`. */
export function parseGivenAddress(text: string): GivenAddress {
  const at = text.indexOf("=");
  const network = at > 0 ? parseNetwork(text.slice(at + 1)) : undefined;
  if (network === undefined) {
    throw new SallyportError("usage", `"${text}" does not give a name's address`, {
      hint: "write name=address or name=address/prefix",
    });
  }
  return { name: readHost(text.slice(0, at), text), network };
}

function readHost(host: string, text: string): string {
  const network = parseNetwork(host);
  if (network) return formatNetwork(network);
  const label = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i;
  const name = host.toLowerCase().replace(/\.$/, "");
  const numeric = /(^|\.)\d+$/.test(name);
  if (numeric || name.length > 253 || !name.split(".").every((part) => label.test(part))) {
    throw bad(text);
  }
  return name;
}

function bad(text: string): SallyportError {
  return new SallyportError("usage", `"${text}" is not a host and port`, {
    hint: "write host:port, [v6]:port or address/prefix:port; the host is a name or an address",
  });
}
