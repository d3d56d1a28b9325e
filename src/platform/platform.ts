/**
 * `sallyport platform start`: the embedded stand-in for the Infisical platform, for one machine,
 * trials and tests.
 */
import { formatAddress, type ListenAddress } from "../listen.ts";
import { logger } from "../log.ts";
import { platformApp } from "./app.ts";
import { Authorities } from "./authorities.ts";
import { dataFiles, writeOwnFile } from "./data_directory.ts";
import { DEFAULT_LIVES, issueApi, type Issuer, type Lives } from "./issue.ts";
import { checked, host } from "./names.ts";
import { DEFAULT_RATES, type RateLimits, Rates } from "./rates.ts";
import { serveApi, type ServerLimits } from "./server.ts";
import { Store } from "./store.ts";

const log = logger("platform");

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
  /** What strangers and callers may take up. */
  limits?: Partial<ServerLimits & RateLimits>;
  /** Clock of the rates, ms, never put back. @default performance.now */
  elapsed?: () => number;
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
  const { dataDir, listen, tlsHost, now = () => new Date(), lives, limits = {} } = options;
  const store = Store.open(dataDir, now);
  try {
    const issuer: Issuer = {
      authorities: new Authorities(store),
      lives: { ...DEFAULT_LIVES, ...lives },
      now,
    };
    const tls = tlsHost === undefined ? undefined : await apiKeys(issuer, dataDir, tlsHost);
    signal.throwIfAborted();
    const rates = new Rates({ ...DEFAULT_RATES, ...limits }, options.elapsed);
    const app = platformApp({ store, issuer, rates });
    const handler = async (request: Request, peer: string) => await app.fetch(request, { peer });
    const { address, finished: served } = await serveApi(
      { listen, tls, limits, handler },
      signal,
    );
    const url = publicUrl(listen, address, tlsHost);
    log.info("the platform is on {url}", { url });
    const finished = served.finally(() => {
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

function publicUrl(asked: ListenAddress, bound: ListenAddress, tlsHost?: string): string {
  const everywhere = ["", "::", "0.0.0.0"].includes(asked.host);
  const host = tlsHost ?? (everywhere ? "localhost" : asked.host);
  const scheme = tlsHost === undefined ? "http" : "https";
  return `${scheme}://${formatAddress({ host, port: bound.port })}`;
}
