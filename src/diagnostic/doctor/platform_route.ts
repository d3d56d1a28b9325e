/** Where the platform is, and how the API's calls get there: by fetch, which knows one proxy or none. */
import type { Dial } from "../../egress/dial.ts";
import { proxiedDialer } from "../../egress/proxy.ts";
import { type Environment, type Proxy, proxyFor } from "../../egress/proxy_choice.ts";
import { apiBase } from "../../enroll/call.ts";
import { SallyportError } from "../../errors.ts";
import type { RelayAddress } from "../../link/relay_address.ts";
import type { DoctorContext } from "./context.ts";
import { firewallCommand, type Place } from "./reach.ts";

/** The platform's address. */
export interface PlatformPlace {
  /** Name or address, without brackets. */
  host: string;
  port: number;
  /** By https. */
  secure: boolean;
  /** The proxy that calls go through. */
  proxy: Proxy | undefined;
}

/** Reads the domain and the environment. Throws `usage` or `config`. */
export function platformPlace({ domain, env }: Pick<DoctorContext, "domain" | "env">) {
  const { hostname, port: text, protocol } = new URL(apiBase(domain));
  const secure = protocol === "https:";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(text) || (secure ? 443 : 80);
  const proxy = proxyFor(host, port, secure ? env : ofPlainHttp(env));
  return { host, port, secure, proxy } satisfies PlatformPlace;
}

/** fetch takes HTTP_PROXY in the place of HTTPS_PROXY for plain http. */
function ofPlainHttp(env: Environment): Environment {
  const { http_proxy, HTTP_PROXY, all_proxy, ALL_PROXY, no_proxy, NO_PROXY } = env;
  return {
    https_proxy: http_proxy,
    HTTPS_PROXY: HTTP_PROXY,
    all_proxy,
    ALL_PROXY,
    no_proxy,
    NO_PROXY,
  };
}

/** Opens a connection as fetch would; unlike the relay's, one that a proxy refuses is not made past it. */
export function platformDial({ env, dialDirectly }: DoctorContext, place: PlatformPlace): Dial {
  const { proxy, secure } = place;
  if (!proxy) return dialDirectly;
  // Plain http is spoken to the proxy itself (RFC 9112 §3.2.2).
  if (!secure) return (_host, _port, options) => dialDirectly(proxy.host, proxy.port, options);
  return proxiedDialer(async (host, port, options) => {
    if (host === proxy.host && port === proxy.port) return await dialDirectly(host, port, options);
    throw new SallyportError("api-unreachable", "calls of the API are not made past it");
  }, env);
}

/** The place that a firewall must let out for calls of the API: the platform, or the proxy before it. */
export function firewallPlace(
  { domain, timeout }: DoctorContext,
  { host, port, proxy }: PlatformPlace,
  relay: RelayAddress | undefined,
): Place {
  const common = { code: "api-unreachable" as const, waited: timeout };
  if (!proxy) {
    return { what: "the platform", host, port, rule: firewallCommand(domain, relay), ...common };
  }
  const rule = firewallCommand(`http://${nameOf(proxy)}`, proxy);
  return { what: "the proxy", host: proxy.host, port: proxy.port, rule, ...common };
}

/** `host:port` of a proxy, without its password. */
export function nameOf({ host, port }: Pick<Proxy, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
