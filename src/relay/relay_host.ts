/** The address that a relay is known by. Pure. */
import { isIP } from "node:net";
import { SallyportError } from "../errors.ts";

/** RFC 1123 §2.1, and the underscores that some private zones have. */
const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/**
 * Reads the host of a relay: a DNS name, or an address, an IPv6 one also in brackets. Gives it without
 * brackets, as it stands in certificates. Throws `usage`.
 */
export function parseRelayHost(text: string): string {
  const host = text.trim();
  const address = /^\[(.+)\]$/.exec(host)?.[1] ?? host;
  if (isIP(address) || (address === host && NAME.test(host))) return address;
  throw new SallyportError("usage", `--host: ${JSON.stringify(text)} is no host name or address`, {
    hint: "give the name or address alone; ports are given with --ssh-listen and --tls-listen",
  });
}
