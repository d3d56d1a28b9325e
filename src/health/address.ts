/** Addresses that health is served on: a TCP one, a UNIX socket's path, or none. */
import { SallyportError } from "../errors.ts";
import { formatAddress, type ListenAddress, parseListenAddress } from "../listen.ts";

/** Where health is served unless something else is said. */
export const DEFAULT_HEALTH_LISTEN = "127.0.0.1:8222";

/** A TCP address, or the path of a UNIX socket. */
export type HealthAddress = ListenAddress | { path: string };

/** Longest path that every UNIX can take, bytes. */
const LONGEST_PATH = 103;

/**
 * Reads `host:port`, `unix:/path` or `off`, for which it gives undefined. Throws `usage`.
 * @param setting the flag that it comes from
 */
export function parseHealthAddress(text: string, setting: string): HealthAddress | undefined {
  const given = text.trim();
  if (given === "off") return undefined;
  if (!given.startsWith("unix:")) return parseListenAddress(given, setting);
  const path = given.slice("unix:".length);
  if (!path.startsWith("/") || new TextEncoder().encode(path).length > LONGEST_PATH) {
    throw new SallyportError("usage", `${setting}: "${text}" is not the path of a socket`, {
      hint: `write unix:/path, absolute and not longer than ${LONGEST_PATH} bytes`,
    });
  }
  return { path };
}

/** As it is written in a setting. */
export function formatHealthAddress(address: HealthAddress): string {
  return "path" in address ? `unix:${address.path}` : formatAddress(address);
}
