/**
 * From a verified channel to what is to be done with it: the ALPN protocol names the mode, the client
 * certificate names target and actor (protocol.md, "Inside the channel"). Pure.
 */
import { Buffer } from "node:buffer";
import { OID, readX509, type X509Facts } from "../certificates/x509.ts";
import { SallyportError } from "../errors.ts";

/** Modes by their ALPN protocol. Only these are offered in the TLS handshake. */
export const ALPN = {
  "infisical-tcp-proxy": "tcp",
  "infisical-http-proxy": "http",
  "infisical-ping": "ping",
  "infisical-health": "health",
} as const;

/** What a channel is for. */
export type Mode = (typeof ALPN)[keyof typeof ALPN];

/** Who asked, as the platform wrote it into the client certificate. */
export interface Actor {
  /** "platform", "user", or a kind that we do not know (which gets no privilege). */
  type: string;
  id?: string;
  name?: string;
}

/** A target as the certificate names it; in http mode `host` may start with http:// or https://. */
export interface Target {
  host: string;
  port: number;
}

/** Everything that a forward handler needs to know about a channel. */
export interface Route {
  mode: Mode;
  alpn: string;
  /** Set in tcp and http mode. */
  target?: Target;
  actor: Actor;
  /** Serial number of the client certificate, lower-case hex. */
  serial: string;
}

/**
 * Reads the route of a channel. Throws `route-malformed` if the certificate lacks what the mode needs.
 * @param alpn the negotiated protocol
 * @param certificate the verified client certificate, DER
 */
export function readRoute(alpn: string, certificate: Uint8Array): Route {
  const mode = (ALPN as Record<string, Mode | undefined>)[alpn];
  if (!mode) throw malformed(`protocol "${alpn}" is not served`);
  const facts = readX509(certificate);
  const route: Route = { mode, alpn, actor: readActor(facts), serial: facts.serial };
  if (mode === "tcp" || mode === "http") route.target = readTarget(facts);
  return route;
}

function malformed(message: string): SallyportError {
  return new SallyportError("route-malformed", `client certificate: ${message}`);
}

function readJson(
  facts: X509Facts,
  oid: string,
  what: string,
): Record<string, unknown> | undefined {
  const value = facts.extensions.get(oid);
  if (!value) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString("utf8"));
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
      return parsed as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw malformed(`its ${what} (extension ${oid}) is not a JSON object`);
}

function readTarget(facts: X509Facts): Target {
  const json = readJson(facts, OID.target, "target");
  if (!json) throw malformed(`it names no target (extension ${OID.target})`);
  const { targetHost: host, targetPort: port } = json;
  if (typeof host !== "string" || host === "" || host.length > 2048 || hasControl(host)) {
    throw malformed("its target has no usable targetHost");
  }
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw malformed("its target's targetPort is not a port (1 to 65535)");
  }
  return { host, port };
}

function hasControl(text: string): boolean {
  return [...text].some((c) => c <= " " || c === "\x7f");
}

/** Without an actor extension, or with one that names no type, nobody gets a privilege. */
function readActor(facts: X509Facts): Actor {
  const json = readJson(facts, OID.actor, "actor") ?? {};
  const text = (value: unknown) => typeof value === "string" ? value.slice(0, 256) : undefined;
  return {
    type: text(json.type) ?? "unknown",
    id: text(json.id) ?? facts.subject.commonName,
    name: text(json.name),
  };
}
