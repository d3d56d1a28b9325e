/** Where http requests go: scheme, host and port out of what a client certificate names. Pure. */
import { isIPv6 } from "node:net";
import { SallyportError } from "../errors.ts";

/** One server, as far as HTTP is concerned. */
export interface Origin {
  secure: boolean;
  /** A name or an address, without brackets. */
  host: string;
  port: number;
}

const SCHEME = /^(https?):\/\//i;

/**
 * Reads a target. `host` may start with `http://` or `https://`; plain http otherwise (protocol.md).
 * Throws `route-malformed` if more than a host follows.
 */
export function readOrigin({ host, port }: { host: string; port: number }): Origin {
  const scheme = SCHEME.exec(host);
  const bare = host.slice(scheme?.[0].length ?? 0)
    .replace(/\/$/, "")
    .replace(/^\[(.*)\]$/, "$1");
  if (bare === "" || /[/?#@\s[\]]/.test(bare) || (bare.includes(":") && !isIPv6(bare))) {
    throw new SallyportError("route-malformed", `the target "${host}" is not a host`);
  }
  return { secure: scheme?.[1]?.toLowerCase() === "https", host: bare, port };
}

/** The value of the Host header (RFC 9110 §7.2): the port is left out if it is the scheme's own. */
export function hostHeader({ secure, host, port }: Origin): string {
  const name = isIPv6(host) ? `[${host}]` : host;
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`;
}
