/**
 * How long to wait before the next attempt: full jitter (a random part of a growing bound), so that a
 * fleet that lost its relay does not come back as one wave. Pure: clock and dice are arguments.
 */

/** A link that was up for this long counts as stable, ms. */
export const STABLE_AFTER = 60_000;

/** Longest wait that the other side may ask for, ms. */
const LONGEST_RETRY_AFTER = 5 * 60_000;

/** How long the other side asks us to wait, ms, as far as that is listened to; 0 if it does not. */
export function askedWait({ retryAfter = 0 }: { retryAfter?: number }): number {
  return Math.min(retryAfter, LONGEST_RETRY_AFTER);
}

/** The bounds of the waiting time, ms. */
export interface BackoffOptions {
  /** First bound. @default 250 */
  base?: number;
  /** Largest bound. @default 30,000 */
  cap?: number;
  /** Largest bound while attempts are cheap (no more than a TCP connect was refused). @default 1,000 */
  cheapCap?: number;
  /** For how long after the link was lost attempts may be that frequent. @default 120,000 */
  cheapFor?: number;
  /** Largest bound of cheap attempts after that: a relay that returns after hours is joined soon. @default 4,000 */
  cheapLateCap?: number;
  /** Bound of the wait before the first attempt, when a link is lost: a fleet's do not all come at once. @default 100 */
  first?: number;
  /** How long a link must have been up for the counting to begin anew. @default 60,000 */
  stableAfter?: number;
  /** From 0 (inclusive) to 1 (exclusive). @default Math.random */
  random?: () => number;
}

/** Counts attempts and gives the waits between them. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #attempts = 0;
  #upSince: number | undefined;
  #downSince: number | undefined;

  constructor(options: BackoffOptions = {}) {
    this.#options = {
      base: 250,
      cap: 30_000,
      cheapCap: 1_000,
      cheapFor: 120_000,
      cheapLateCap: 4_000,
      first: 100,
      stableAfter: STABLE_AFTER,
      random: Math.random,
      ...options,
    };
  }

  /** The link came up at `now` (ms). */
  up(now: number): void {
    this.#upSince = now;
  }

  /**
   * The link was lost, or an attempt failed, at `now`: the time to wait, ms. A link that was stable is
   * tried again nearly at once, the first time.
   * @param cheap the attempt cost the other side next to nothing
   */
  next(now: number, { cheap = false }: { cheap?: boolean } = {}): number {
    const { base, cap, stableAfter, first, random } = this.#options;
    const lost = this.#upSince !== undefined;
    if (this.#upSince !== undefined && now - this.#upSince >= stableAfter) {
      this.#attempts = 0;
      this.#downSince = undefined;
    }
    this.#upSince = undefined;
    this.#downSince ??= now;
    const attempt = this.#attempts++;
    if (lost && attempt === 0) return Math.round(first * random());
    // A link that was up was no refusal, however short: the relay may be in the middle of restarting.
    const largest = cheap || lost ? this.#cheapCap(now - this.#downSince) : cap;
    return Math.round(Math.min(largest, base * 2 ** Math.min(attempt, 32)) * random());
  }

  #cheapCap(downFor: number): number {
    const { cheapCap, cheapFor, cheapLateCap } = this.#options;
    return downFor < cheapFor ? cheapCap : cheapLateCap;
  }
}
