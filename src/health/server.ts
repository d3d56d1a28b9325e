/** The listener under the health application. */
import type { LinkState } from "../link/state.ts";
import { formatAddress, type ListenAddress, listenError } from "../listen.ts";
import { logger } from "../log.ts";
import { DEFAULT_HEALTH_LISTEN, type HealthAddress, parseHealthAddress } from "./address.ts";
import { healthApp } from "./app.ts";
import { History } from "./history.ts";
import { listenOnSocket } from "./unix_socket.ts";

const log = logger("health");

/** The flag that decides it. */
const SETTING = "--health-listen";

/** A health server that is listening. */
export interface HealthServer {
  /** `host:port`, with the real port where 0 was asked for; or `unix:/path`. */
  address: string;
  /** The address and the real port that it listens on in the end; undefined for a UNIX socket. */
  bound: ListenAddress | undefined;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

/**
 * Serves health on `listen` (`host:port` or `unix:/path`); undefined if that is `off`. Rejects with
 * `port-in-use`, `listen` or `usage`.
 * @param now ms since 1970
 */
export async function serveHealth(
  state: Pick<LinkState, "snapshot" | "subscribe">,
  listen: string = DEFAULT_HEALTH_LISTEN,
  now: () => number = Date.now,
): Promise<HealthServer | undefined> {
  const asked = parseHealthAddress(listen, SETTING);
  if (!asked) return undefined;
  const stop = new AbortController();
  const history = new History(state, now);
  const app = healthApp({ state, history, address: asked, now });
  const answer = (request: Request) => app.fetch(request);
  try {
    const { address, bound, finished } = await open(asked, answer, stop.signal);
    return {
      address,
      bound,
      async close() {
        history.close();
        stop.abort();
        await finished;
      },
    };
  } catch (error) {
    history.close();
    throw error;
  }
}

interface Listening {
  address: string;
  bound?: ListenAddress;
  /** Resolves when nothing is left of it. */
  finished: Promise<void>;
}

async function open(
  asked: HealthAddress,
  answer: (request: Request) => Response | Promise<Response>,
  signal: AbortSignal,
): Promise<Listening> {
  // Deno prints a line of its own unless it is told where to.
  const options = { signal, onListen: () => {} };
  if ("path" in asked) {
    const { path } = asked;
    const serve = () => Deno.serve({ ...options, path }, answer);
    const { finished } = await listenOnSocket(path, SETTING, serve);
    log.info("health on the socket {path}", { path });
    return { address: `unix:${path}`, finished };
  }
  const server = serveOn(asked, options, answer);
  const address = formatAddress({ host: asked.host || "0.0.0.0", port: server.addr.port });
  log.info("health on http://{address}/", { address });
  const bound = { host: server.addr.hostname, port: server.addr.port };
  return { address, bound, finished: server.finished };
}

function serveOn(
  asked: ListenAddress,
  options: { signal: AbortSignal; onListen(): void },
  answer: (request: Request) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ ...options, hostname: asked.host || "0.0.0.0", port: asked.port }, answer);
  } catch (error) {
    throw listenError(error, asked, SETTING);
  }
}
