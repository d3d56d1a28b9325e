/** Universal auth: a client id and secret, traded for an access token with a limited life. */
import { SallyportError } from "../errors.ts";
import { hideSecret, logger } from "../log.ts";
import type { Login, PlatformApi } from "./api.ts";
import type { Credentials } from "./credentials.ts";
import type { SecretSource } from "./secret.ts";

const log = logger("enroll");

/** Part of a token's life after which it is renewed. */
const RENEW_AFTER = 0.8;
/** A token younger than this was not refused for its age, ms. */
const FRESH = 60_000;

interface Session {
  token: string;
  /** When the platform gave it, ms since 1970. */
  since: number;
  /** When to renew it; Infinity if it does not expire. */
  renewAt: number;
  expires: number;
  /** When renewing no longer helps and a new login is needed. */
  loginAt: number;
}

/**
 * A token that is renewed when somebody asks for it in the last fifth of its life, so that no timer is
 * needed; there is a new login once its longest life is nearly over or renewal is refused.
 */
export class UniversalAuth implements Credentials {
  readonly #clientId: string;
  readonly #secret: SecretSource;
  readonly #api: Pick<PlatformApi, "login" | "renewToken">;
  readonly #now: () => number;
  #session: Session | undefined;
  #pending: Promise<Session> | undefined;

  constructor(
    clientId: string,
    secret: SecretSource,
    api: Pick<PlatformApi, "login" | "renewToken">,
    now: () => number,
  ) {
    this.#clientId = clientId;
    this.#secret = secret;
    this.#api = api;
    this.#now = now;
  }

  async token(): Promise<string> {
    if (!this.#session || this.#now() >= this.#session.renewAt) {
      this.#session = await this.#once(() => this.#next(this.#session));
    }
    return this.#session.token;
  }

  async refused(token: string): Promise<boolean> {
    const session = this.#session;
    if (session && session.token !== token) return true;
    if (session && this.#now() - session.since < FRESH) return false;
    this.#session = await this.#once(() => this.#login());
    return true;
  }

  /** Calls that need a token at the same time share one login. */
  #once(start: () => Promise<Session>): Promise<Session> {
    return this.#pending ??= start().finally(() => this.#pending = undefined);
  }

  async #next(session: Session | undefined): Promise<Session> {
    const now = this.#now();
    if (!session || now >= session.expires || now >= session.loginAt) {
      return await this.#login();
    }
    try {
      return this.#accept(await this.#api.renewToken(session.token), session);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      // What can be had again later must not spoil a token that still holds.
      if (error.retryable) {
        log.warn("token not renewed yet: {message}", { message: error.message });
        const renewAt = Math.max(session.renewAt, now + (error.retryAfter ?? 0));
        return { ...session, renewAt: Math.min(renewAt, session.expires) };
      }
      log.info("token not renewable ({message}): logging in again", { message: error.message });
      return await this.#login();
    }
  }

  async #login(): Promise<Session> {
    const clientSecret = await this.#secret.read();
    const session = this.#accept(
      await this.#api.login({ clientId: this.#clientId, clientSecret }),
    );
    log.info("logged in with universal auth");
    return session;
  }

  #accept({ accessToken, expiresIn, accessTokenMaxTTL }: Login, before?: Session): Session {
    hideSecret(accessToken);
    const since = this.#now();
    // 0 seconds: the platform's way of saying that there is no limit.
    const life = expiresIn === 0 ? Infinity : expiresIn * 1000;
    const longest = accessTokenMaxTTL === 0 ? Infinity : accessTokenMaxTTL * 1000;
    return {
      token: accessToken,
      since,
      renewAt: since + life * RENEW_AFTER,
      expires: since + life,
      loginAt: before?.loginAt ?? since + longest * RENEW_AFTER,
    };
  }
}
