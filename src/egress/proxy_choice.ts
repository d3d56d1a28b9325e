/**
 * Which proxy a connection goes through, as the environment says: HTTPS_PROXY, else ALL_PROXY, unless
 * NO_PROXY names the destination. Lower-case names count as well, and before the others. Pure.
 */
import { BlockList, isIP } from "node:net";
import { SallyportError } from "../errors.ts";

/** A proxy and how it is spoken to. */
export interface Proxy {
  kind: "http" | "https" | "socks5";
  host: string;
  port: number;
  user?: string;
  password?: string;
}

/** Environment variables. */
export type Environment = Record<string, string | undefined>;

const KINDS: Record<string, { kind: Proxy["kind"]; port: number }> = {
  "http:": { kind: "http", port: 8080 },
  "https:": { kind: "https", port: 443 },
  "socks5:": { kind: "socks5", port: 1080 },
  "socks5h:": { kind: "socks5", port: 1080 },
  "socks:": { kind: "socks5", port: 1080 },
};

/** The proxy for `host:port`, or undefined. Throws `config` if the variable is no proxy's URL. */
export function proxyFor(host: string, port: number, env: Environment): Proxy | undefined {
  for (const name of ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) {
    const text = env[name];
    if (!text) continue;
    const exceptions = env.no_proxy || env.NO_PROXY || "";
    return isException(host, port, exceptions) ? undefined : readProxy(text, name);
  }
  return undefined;
}

/** The value itself may hold a password: a complaint never quotes it. */
function readProxy(text: string, name: string): Proxy {
  const absolute = text.includes("://") ? text : `http://${text}`;
  const url = URL.canParse(absolute) ? new URL(absolute) : undefined;
  const known = url && KINDS[url.protocol];
  if (!known || url.hostname === "") {
    throw new SallyportError("config", `${name} is not the URL of a proxy`, {
      hint: "write http://host:port, https://host:port or socks5://host:port",
    });
  }
  return {
    kind: known.kind,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? defaultPort(url.protocol, known.port) : Number(url.port),
    ...(url.username && { user: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
  };
}

/** The URL parser leaves a scheme's own port out: `http://proxy:80` means 80, and so does no port. */
function defaultPort(protocol: string, port: number): number {
  return protocol === "http:" ? 80 : port;
}

/** Whether NO_PROXY names `host:port`: a name and all below it, an address, a network, `*`. */
function isException(host: string, port: number, list: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  return list.split(/[\s,]+/).filter(Boolean).some((entry) => {
    if (entry === "*") return true;
    if (entry.includes("/")) return inNetwork(name, entry);
    const match = /^(?:\[([^\]]+)\]|([^:]+)|(.*:.*:.*))(?::(\d+))?$/.exec(entry.toLowerCase());
    const [, v6, plain, bare, onlyPort] = match ?? [];
    if (onlyPort !== undefined && Number(onlyPort) !== port) return false;
    const wanted = (v6 ?? plain ?? bare ?? "").replace(/^\*?\./, "");
    return name === wanted || (isIP(name) === 0 && name.endsWith(`.${wanted}`));
  });
}

function inNetwork(address: string, network: string): boolean {
  const family = isIP(address);
  const [base = "", bits = ""] = network.split("/");
  if (family === 0 || isIP(base) !== family || !/^\d+$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  const networks = new BlockList();
  networks.addSubnet(base, Number(bits), type);
  return networks.check(address, type);
}
