/**
 * `sallyport platform start`: the embedded stand-in for the Infisical platform, for one machine,
 * trials and tests.
 */
import { asSallyportError } from "../errors.ts";
import { formatAddress, type ListenAddress, listenError } from "../listen.ts";
import { logger } from "../log.ts";
import { platformApp } from "./app.ts";
import { Authorities } from "./authorities.ts";
import { dataFiles, writeOwnFile } from "./data_directory.ts";
import { DEFAULT_LIVES, issueApi, type Issuer, type Lives } from "./issue.ts";
import { checked, host } from "./names.ts";
import { Store } from "./store.ts";

const log = logger("platform");

/** The flag that decides where the platform listens. */
const SETTING = "--listen";

/** How the platform is run. */
export interface PlatformOptions {
  /** What `initPlatform` made. */
  dataDir: string;
  listen: ListenAddress;
  /**
   * Serve https with a certificate for this host, of the platform's own API authority, whose
   * certificate is written to `<dataDir>/api-ca.pem`.
   */
  tlsHost?: string;
  /** @default the host's clock */
  now?: () => Date;
  /** How long certificates live, for trials and tests, ms. @default 1 day, 5 min, 30 days */
  lives?: Partial<Lives>;
}

/** A platform that is listening. */
export interface RunningPlatform {
  address: ListenAddress;
  /** `http(s)://host:port`, as gateways, relays and clients may give it for --domain. */
  url: string;
  /** Resolves when it has stopped, because its signal was aborted. */
  finished: Promise<void>;
}

/**
 * Starts the platform; it stops when `signal` aborts. Rejects with `platform-store` if there is none in
 * the data directory or it is damaged, with `port-in-use` or `listen` if the address cannot be had.
 */
export async function startPlatform(
  options: PlatformOptions,
  signal: AbortSignal,
): Promise<RunningPlatform> {
  signal.throwIfAborted();
  const { dataDir, listen, tlsHost, now = () => new Date(), lives } = options;
  const store = Store.open(dataDir, now);
  try {
    const issuer: Issuer = {
      authorities: new Authorities(store),
      lives: { ...DEFAULT_LIVES, ...lives },
      now,
    };
    const tls = tlsHost === undefined ? undefined : await apiKeys(issuer, dataDir, tlsHost);
    signal.throwIfAborted();
    const app = platformApp({ store, issuer });
    const server = serve(listen, tls, (request) => app.fetch(request), signal);
    const address = { host: server.addr.hostname, port: server.addr.port };
    const url = publicUrl(listen, address, tlsHost);
    log.info("the platform is on {url}", { url });
    const finished = server.finished.finally(() => {
      store.close();
      log.info("the platform has stopped");
    });
    return { address, url, finished };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function apiKeys(issuer: Issuer, dataDir: string, tlsHost: string) {
  const { certificate, key, authority } = await issueApi(issuer, checked(host, tlsHost, "host"));
  writeOwnFile(dataFiles(dataDir).apiCertificate, authority);
  return { cert: certificate, key };
}

function serve(
  listen: ListenAddress,
  tls: { cert: string; key: string } | undefined,
  handler: (request: Request) => Response | Promise<Response>,
  signal: AbortSignal,
): Deno.HttpServer<Deno.NetAddr> {
  // "::" takes both families, where the machine has IPv6.
  const hosts = listen.host ? [listen.host] : ["::", "0.0.0.0"];
  const failures: unknown[] = [];
  for (const hostname of hosts) {
    try {
      return Deno.serve({
        hostname,
        port: listen.port,
        signal,
        ...tls,
        // Deno prints a line of its own unless it is told where to.
        onListen: () => {},
        onError: (error) => {
          log.error("a call failed: {message}", { message: asSallyportError(error).message });
          return new Response(null, { status: 500 });
        },
      }, handler);
    } catch (error) {
      failures.push(error);
    }
  }
  throw listenError(failures[0], listen, SETTING);
}

function publicUrl(asked: ListenAddress, bound: ListenAddress, tlsHost?: string): string {
  const everywhere = ["", "::", "0.0.0.0"].includes(asked.host);
  const host = tlsHost ?? (everywhere ? "localhost" : asked.host);
  const scheme = tlsHost === undefined ? "http" : "https";
  return `${scheme}://${formatAddress({ host, port: bound.port })}`;
}
