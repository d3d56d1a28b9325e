/** The listener under the health application. */
import type { LinkState } from "../link/state.ts";
import { formatAddress, listenError, parseListenAddress } from "../listen.ts";
import { logger } from "../log.ts";
import { DEFAULT_HEALTH_LISTEN } from "./address.ts";
import { healthApp } from "./app.ts";

const log = logger("health");

/** The flag that decides it. */
const SETTING = "--health-listen";

/** A health server that is listening. */
export interface HealthServer {
  /** `host:port`; the port is the real one where 0 was asked for. */
  address: string;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

/**
 * Serves health on `listen` (`host:port`); undefined if that is `off`. Throws `port-in-use`, `listen`
 * or `usage`.
 */
export function serveHealth(
  state: Pick<LinkState, "snapshot">,
  listen: string = DEFAULT_HEALTH_LISTEN,
): HealthServer | undefined {
  if (listen === "off") return undefined;
  const asked = parseListenAddress(listen, SETTING);
  const stop = new AbortController();
  const app = healthApp({ state, address: asked });
  const hostname = asked.host || "0.0.0.0";
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve(
      // Deno prints a line of its own unless it is told where to.
      { hostname, port: asked.port, signal: stop.signal, onListen: () => {} },
      (request) => app.fetch(request),
    );
  } catch (error) {
    throw listenError(error, asked, SETTING);
  }
  const address = formatAddress({ host: asked.host || hostname, port: server.addr.port });
  log.info("health on http://{address}/status", { address });
  return {
    address,
    async close() {
      stop.abort();
      await server.finished;
    },
  };
}
