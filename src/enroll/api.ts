/**
 * The platform's API as gateways, relays and clients use it (protocol.md, "API"): one method a call,
 * each answer checked before anybody sees it.
 */
import * as z from "zod";
import { SallyportError } from "../errors.ts";
import { callApi, type CallOptions } from "./call.ts";
import {
  type GatewayRegistration,
  gatewayRegistration,
  type RelayRegistration,
  relayRegistration,
} from "./registration.ts";

export type { GatewayRegistration, RelayRegistration } from "./registration.ts";

/** A relay's usual ports (protocol.md). */
const SSH_PORT = 2222;
const TLS_PORT = 8443;

/** Most relays that a platform may list. */
const MAX_RELAYS = 4096;
/** Most gateways, and identities, that a platform may list as revoked. */
const MAX_REVOCATIONS = 50_000;
/** Most faults of one answer that are named. */
const MAX_FAULTS = 5;

/** Organisation relays belong to one organisation, instance relays to the whole platform. */
export type RelayType = "org" | "instance";

const token = z.string().min(1).max(16 * 1024);
const port = z.number().int().min(1).max(65535);
const pem = z.string().includes("-----BEGIN ");

const login = z.object({
  accessToken: token,
  /** Life of the token, seconds. */
  expiresIn: z.number().nonnegative(),
  /** Life of the token with all its renewals, seconds; 0 means no limit. */
  accessTokenMaxTTL: z.number().nonnegative(),
  tokenType: z.string().optional(),
});

const gatewayEnrolment = z.object({ accessToken: token, gatewayId: z.string().min(1) });
const relayEnrolment = z.object({ accessToken: token, relayId: z.string().min(1) });

const relayEntry = z.object({
  id: z.string(),
  name: z.string().min(1),
  host: z.string().min(1),
  /** null or absent: an instance relay. */
  orgId: z.string().nullish(),
  /** ISO time of the last sign of life. */
  heartbeat: z.string().nullish(),
});

/** The length is looked at before the entries: each broken one would be a complaint of its own. */
const relayList = z.array(z.unknown()).max(MAX_RELAYS).pipe(z.array(relayEntry));

const connection = z.object({
  gatewayId: z.string().min(1),
  relay: z.object({
    host: z.string().min(1),
    tlsPort: port,
    clientCertificate: pem,
    clientPrivateKey: pem,
    serverCertificateChain: pem,
  }),
  gateway: z.object({
    clientCertificate: pem,
    clientPrivateKey: pem,
    serverCertificateChain: pem,
  }),
});

const revocations = z.object({
  gateways: z.array(z.string()).max(MAX_REVOCATIONS),
  identities: z.array(z.string()).max(MAX_REVOCATIONS),
});

/** Ids of gateways and identities that were cut off. */
export type Revocations = z.infer<typeof revocations>;

/** Answer to a login or a renewal; times in seconds. */
export type Login = z.infer<typeof login>;

/** What a one-time token is traded for. */
export interface Enrolment {
  /** The own token of the gateway or relay. */
  accessToken: string;
  /** Its id. */
  id: string;
}

/** A relay as the platform lists it. */
export type RelayEntry = z.infer<typeof relayEntry>;

/** What a platform's client needs to reach one target behind one gateway. */
export type Connection = z.infer<typeof connection>;

/** How the API is reached. */
export interface PlatformApiOptions {
  /** With or without `/api` or a trailing slash. @default https://app.infisical.com */
  domain?: string;
  /** Bearer token of the calls that want one; asked before each call. */
  token?: () => Promise<string> | string;
  /**
   * Told when the platform refuses a token (401, or 403, which the real one says of expired tokens);
   * true if there is another one now, with which the call is made once more.
   */
  refused?: (token: string) => Promise<boolean> | boolean;
  /** Ends every call. */
  signal?: AbortSignal;
  /** Time for one call, ms. @default 30,000 */
  timeout?: number;
  /** @default the global fetch */
  fetch?: typeof fetch;
}

/** What a relay tells about itself when it registers. */
export interface RelayDescription {
  type: RelayType;
  name: string;
  /** Address that gateways and the platform reach it at, without a port. */
  host: string;
  /** The embedded platform alone knows the ports; the usual ones are not sent. @default 2222 */
  sshPort?: number;
  /** @default 8443 */
  tlsPort?: number;
}

/**
 * Typed client of the platform. Every method throws one of the `api-*` errors, `revoked` or
 * `credentials-refused`, or the signal's reason.
 */
export class PlatformApi {
  readonly #options: PlatformApiOptions;

  constructor(options: PlatformApiOptions = {}) {
    this.#options = options;
  }

  /** Registers a gateway with a machine identity's token (v2). */
  registerGateway(
    body: { name: string; relayName: string },
    signal?: AbortSignal,
  ): Promise<GatewayRegistration> {
    return this.#call("POST", "/v2/gateways", gatewayRegistration, { body, signal });
  }

  /** Registers a gateway with its own token (v3). */
  connectGateway(
    body: { relayName?: string } = {},
    signal?: AbortSignal,
  ): Promise<GatewayRegistration> {
    return this.#call("POST", "/v3/gateways/connect", gatewayRegistration, { body, signal });
  }

  /** Trades a one-time enrolment token for the gateway's own token. */
  async enrolGateway(oneTime: string, signal?: AbortSignal): Promise<Enrolment> {
    const path = "/v3/gateways/token-auth/enroll";
    const options = { body: { token: oneTime }, signal, anonymous: true };
    const { accessToken, gatewayId } = await this.#call("POST", path, gatewayEnrolment, options);
    return { accessToken, id: gatewayId };
  }

  /** Trades a one-time enrolment token for the relay's own token. */
  async enrolRelay(oneTime: string, signal?: AbortSignal): Promise<Enrolment> {
    const body = { method: "token", token: oneTime };
    const options = { body, signal, anonymous: true };
    const { accessToken, relayId } = await this.#call(
      "POST",
      "/v2/relays/login",
      relayEnrolment,
      options,
    );
    return { accessToken, id: relayId };
  }

  /** Says that the gateway is alive. */
  async gatewayHeartbeat(signal?: AbortSignal): Promise<void> {
    const body = { capabilities: {} };
    await this.#call("POST", "/v2/gateways/heartbeat", z.unknown(), { body, signal });
  }

  /** All relays that this identity may use. */
  relays(signal?: AbortSignal): Promise<RelayEntry[]> {
    return this.#call("GET", "/v1/relays", relayList, { signal });
  }

  /** Registers a relay; an instance relay's token is the instance's relay secret. */
  registerRelay(
    { type, name, host, sshPort = SSH_PORT, tlsPort = TLS_PORT }: RelayDescription,
    signal?: AbortSignal,
  ): Promise<RelayRegistration> {
    const path = `/v1/relays/register-${type}-relay`;
    const body = { name, host, ...unusual({ sshPort, tlsPort }) };
    return this.#call("POST", path, relayRegistration, { body, signal });
  }

  /** Registers an enrolled relay with its own token (v2). */
  connectRelay(
    { host, sshPort = SSH_PORT, tlsPort = TLS_PORT }: Pick<
      RelayDescription,
      "host" | "sshPort" | "tlsPort"
    >,
    signal?: AbortSignal,
  ): Promise<RelayRegistration> {
    const body = { host, ...unusual({ sshPort, tlsPort }) };
    return this.#call("POST", "/v2/relays/connect", relayRegistration, { body, signal });
  }

  /** Says that an enrolled relay is alive (v2). */
  async enrolledRelayHeartbeat(signal?: AbortSignal): Promise<void> {
    await this.#call("POST", "/v2/relays/heartbeat", z.unknown(), { body: {}, signal });
  }

  /** Says that a relay is alive. */
  async relayHeartbeat(
    { type, name }: { type: RelayType; name: string },
    signal?: AbortSignal,
  ): Promise<void> {
    const path = `/v1/relays/heartbeat-${type}-relay`;
    await this.#call("POST", path, z.unknown(), { body: { name }, signal });
  }

  /** Universal auth: a client id and secret for an access token. */
  login(body: { clientId: string; clientSecret: string }, signal?: AbortSignal): Promise<Login> {
    const path = "/v1/auth/universal-auth/login";
    return this.#call("POST", path, login, { body, signal, anonymous: true });
  }

  /** Prolongs an access token of universal auth. */
  renewToken(accessToken: string, signal?: AbortSignal): Promise<Login> {
    const body = { accessToken };
    return this.#call("POST", "/v1/auth/token/renew", login, { body, signal, anonymous: true });
  }

  /** Certificates for one target behind one gateway; the embedded platform alone knows this call. */
  openConnection(
    body: { gateway: string; targetHost: string; targetPort: number },
    signal?: AbortSignal,
  ): Promise<Connection> {
    return this.#call("POST", "/v1/sallyport/connections", connection, { body, signal });
  }

  /**
   * Who is to be cut off before their certificates end; the embedded platform alone tells.
   * @param relay name of the relay that asks; it hears `revoked` if that was cut off itself
   */
  revocations({ relay }: { relay: string }, signal?: AbortSignal): Promise<Revocations> {
    const path = `/v1/sallyport/revocations?${new URLSearchParams({ relay })}`;
    return this.#call("GET", path, revocations, { signal });
  }

  async #call<T>(
    method: CallOptions["method"],
    path: string,
    schema: z.ZodType<T>,
    { body, signal, anonymous = false }: {
      body?: unknown;
      signal?: AbortSignal;
      /** True where the body itself carries the credential. */
      anonymous?: boolean;
    },
  ): Promise<T> {
    const { domain, timeout, fetch } = this.#options;
    const ends = join(this.#options.signal, signal);
    const attempt = (bearer?: string) =>
      callApi({ domain, timeout, fetch, method, path, body, token: bearer, signal: ends });
    const answer = anonymous ? await attempt() : await this.#authorised(attempt);
    return check(schema, answer, `${method} ${path}`);
  }

  async #authorised(attempt: (token?: string) => Promise<unknown>): Promise<unknown> {
    const bearer = await this.#options.token?.();
    try {
      return await attempt(bearer);
    } catch (error) {
      const refused = error instanceof SallyportError && error.code === "credentials-refused";
      if (!refused || bearer === undefined) throw error;
      if (!(await this.#options.refused?.(bearer))) throw error;
      return await attempt(await this.#options.token?.());
    }
  }
}

/** Ports that are not the usual ones. */
function unusual({ sshPort, tlsPort }: { sshPort: number; tlsPort: number }) {
  return {
    ...(sshPort === SSH_PORT ? {} : { sshPort }),
    ...(tlsPort === TLS_PORT ? {} : { tlsPort }),
  };
}

function join(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/** Throws `api-malformed` naming the call and each bad field, never what stands in it. */
function check<T>(schema: z.ZodType<T>, answer: unknown, call: string): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  const { issues } = result.error;
  const faults = issues.slice(0, MAX_FAULTS).map(({ path, message, code }) => {
    const name = path.join(".") || "the answer";
    return `${name}: ${code === "custom" ? message : describeFault(code, message)}`;
  });
  if (issues.length > MAX_FAULTS) faults.push(`and ${issues.length - MAX_FAULTS} more`);
  throw new SallyportError("api-malformed", `${call}: ${faults.join("; ")}`, {
    hint: "the platform may be of another version, or something between changes its answers",
  });
}

/** zod's own words for types and lengths quote no values. */
function describeFault(code: string, message: string): string {
  return code === "invalid_type" ? message.replace(/^Invalid input: /, "") : message;
}
