/**
 * How many requests a minute are answered. Whoever shows a token that was good before is counted by
 * whose it is, everybody else by address; an address from which too many logins failed has to wait
 * before another secret is looked at. So whoever guesses is slowed, and those behind the same address
 * who have shown a good token are not.
 */
import { createHash } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import type { PlatformEnv } from "./access.ts";
import { Refusal } from "./refusal.ts";
import { TokenBuckets } from "./token_bucket.ts";

/** Tokens that are remembered as good; the one that was not shown for longest gives way. */
const MOST_PROVEN = 10_000;

/** Requests a minute; as many may come at once. */
export interface RateLimits {
  /** Of one identity, gateway or relay; of the instance's relay secret, for each address. */
  requests: number;
  /** Of one address (IPv6: /64) without a token that was good before. */
  anonymousRequests: number;
  /** Answered 401, of one address (IPv6: /64). */
  failedLogins: number;
}

/**
 * A relay asks 15 times a minute, so that an identity may run some thirty relays. Secrets have 256 bits:
 * slowing who guesses keeps the log readable and the database free, more than it protects them.
 */
export const DEFAULT_RATES: RateLimits = {
  requests: 600,
  anonymousRequests: 300,
  failedLogins: 20,
};

/** Counts requests. Its memory is bounded, whoever comes. */
export class Rates {
  readonly #known: TokenBuckets;
  readonly #anonymous: TokenBuckets;
  readonly #failed: TokenBuckets;
  /** Hash of a token → whose it is; the longest unseen first. */
  readonly #proven = new Map<string, string>();

  /** @param now ms of a clock that is never put back @default performance.now */
  constructor(limits: RateLimits, now: () => number = () => performance.now()) {
    this.#known = new TokenBuckets(limits.requests, now);
    this.#anonymous = new TokenBuckets(limits.anonymousRequests, now);
    this.#failed = new TokenBuckets(limits.failedLogins, now);
  }

  /** Refuses (429) what is too much, before anything else is done with a request. */
  middleware(): MiddlewareHandler<PlatformEnv> {
    return async (context, next) => {
      const { peer } = context.env;
      const mark = markOf(bearerOf(context));
      const who = mark === undefined ? undefined : this.#proven.get(mark);
      if (who !== undefined) {
        demand(this.#known.take(who), `more than ${this.#known.perMinute} requests a minute`);
      } else {
        const { perMinute } = this.#anonymous;
        demand(this.#anonymous.take(peer), `more than ${perMinute} requests a minute`);
        demand(this.#failed.wait(peer), "too many failed logins from this address");
      }
      await next();
      if (context.res.status !== 401) return;
      this.#failed.take(peer);
      // What comes along with a failed login is no pass to the next one.
      if (mark !== undefined) this.#proven.delete(mark);
    };
  }

  /** A token was good: from now on it is counted as `whose`. */
  prove(token: string, whose: string): void {
    const mark = markOf(token)!;
    this.#proven.delete(mark);
    if (this.#proven.size >= MOST_PROVEN) this.#proven.delete(this.#proven.keys().next().value!);
    this.#proven.set(mark, whose);
  }
}

/** The bearer token of a request, whatever it is worth. */
export function bearerOf(context: Context<PlatformEnv>): string | undefined {
  return /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
}

function markOf(token: string | undefined): string | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest("base64");
}

function demand(wait: number, why: string): void {
  if (wait > 0) throw new Refusal(429, why, { retryAfter: wait });
}
