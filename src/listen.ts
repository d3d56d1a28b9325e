/** Listening addresses: how they are written, and what is said when one cannot be had. */
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { SallyportError } from "./errors.ts";

/** Where to listen. An empty host means every address of the machine, both families. */
export interface ListenAddress {
  host: string;
  /** 0: any free port. */
  port: number;
}

/**
 * Reads `host:port`, `:port` or `[v6]:port`.
 * @param text what the person wrote
 * @param what names the setting in the error, for example "--ssh-listen"
 */
export function parseListenAddress(text: string, what: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:\s\[\]]*)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new SallyportError("usage", `${what}: "${text}" is not a listening address`, {
      hint: "write host:port, :port for all addresses, or [v6]:port",
    });
  }
  return { host: match[1] ?? match[2] ?? "", port };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Starts a server (net, tls) on an address and gives where it listens. Throws `port-in-use`, or
 * `listen` for what else the machine refuses.
 * @param setting the flag that a person can change it with
 */
export async function listen(
  server: Server,
  address: ListenAddress,
  setting: string,
): Promise<ListenAddress> {
  server.listen({ port: address.port, ...(address.host ? { host: address.host } : {}) });
  try {
    await once(server, "listening");
  } catch (error) {
    throw listenError(error, address, setting);
  }
  const { address: host, port } = server.address() as AddressInfo;
  return { host, port };
}

/** The error for a listening address that cannot be had. */
export function listenError(
  error: unknown,
  address: ListenAddress,
  setting: string,
): SallyportError {
  const where = formatAddress(address);
  const { code, name, message } = error as { code?: string; name?: string; message?: string };
  if (code === "EADDRINUSE" || name === "AddrInUse") {
    return new SallyportError("port-in-use", `${where} is already in use by another program`, {
      hint: `end that program, or choose another address with ${setting}`,
      cause: error,
    });
  }
  const why = code === "EACCES" ? "this user may not listen there" : message ?? String(error);
  return new SallyportError("listen", `cannot listen on ${where}: ${why}`, {
    hint: `choose another address with ${setting}`,
    cause: error,
  });
}
