/**
 * The three ways in: a plain token, universal auth, and a one-time enrolment token that is traded for
 * the gateway's own. Whatever the way, the API client asks `token()` before a call and says `refused`
 * when the platform did not like it.
 */
import { SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import { PlatformApi } from "./api.ts";
import { apiBase } from "./call.ts";
import { EnrolledCredentials } from "./enrolled.ts";
import type { SecretSource } from "./secret.ts";
import type { StateFile } from "./state.ts";
import { UniversalAuth } from "./universal_auth.ts";

const log = logger("enroll");

/** How a gateway, a relay or a client proves who it is. */
export type Auth =
  | { method: "token"; token: SecretSource }
  | { method: "universal-auth"; clientId: string; clientSecret: SecretSource }
  | { method: "enroll-token"; token?: SecretSource };

/** What an API client needs of one of the ways in; fits PlatformApi's options of the same names. */
export interface Credentials {
  /** A token that should be good now. */
  token(): Promise<string>;
  /** The platform refused `token`; true if there is another one to try. */
  refused(token: string): Promise<boolean>;
}

/** What the ways in need beside their secrets. */
export interface CredentialsOptions {
  domain?: string;
  /** Where an enrolled gateway's or relay's token is kept; demanded by `enroll-token`. */
  state?: StateFile;
  /** For logins, renewals and enrolment. @default a PlatformApi for `domain` */
  api?: Pick<PlatformApi, "login" | "renewToken" | "enrolGateway" | "enrolRelay">;
  /** Milliseconds since 1970. @default Date.now */
  now?: () => number;
  /** Ends logins, renewals and enrolment. */
  signal?: AbortSignal;
  /** How the API is reached. @default the global fetch */
  fetch?: typeof fetch;
}

/** Makes the credentials of one way in. */
export function credentials(auth: Auth, options: CredentialsOptions = {}): Credentials {
  const { domain, signal, fetch, now = Date.now } = options;
  const { api = new PlatformApi({ domain, signal, fetch }) } = options;
  switch (auth.method) {
    case "token":
      return new TokenCredentials(auth.token);
    case "universal-auth":
      return new UniversalAuth(auth.clientId, auth.clientSecret, api, now);
    case "enroll-token":
      if (!options.state) throw new SallyportError("internal", "enrolment needs a state file");
      return new EnrolledCredentials(
        auth.token,
        options.state,
        apiBase(domain),
        options.state.kind === "relay"
          ? (oneTime) => api.enrolRelay(oneTime)
          : (oneTime) => api.enrolGateway(oneTime),
      );
  }
}

/** An API client that uses `auth`; every call ends when `signal` aborts. */
export function authorisedApi(
  auth: Auth,
  options: CredentialsOptions & { timeout?: number } = {},
): PlatformApi {
  const { domain, signal, timeout, fetch } = options;
  const way = credentials(auth, options);
  return new PlatformApi({
    domain,
    signal,
    timeout,
    fetch,
    token: () => way.token(),
    refused: (token) => way.refused(token),
  });
}

/** A token as it is; one from a file may be rotated there while the program runs. */
class TokenCredentials implements Credentials {
  readonly #source: SecretSource;
  #current: string | undefined;

  constructor(source: SecretSource) {
    this.#source = source;
  }

  async token(): Promise<string> {
    return this.#current ??= await this.#source.read();
  }

  async refused(token: string): Promise<boolean> {
    if (this.#source.kind !== "file") return false;
    this.#current = await this.#source.read();
    if (this.#current === token) return false;
    log.info("token read again from {where}", { where: this.#source.where });
    return true;
  }
}
