/**
 * How often somebody may do something: a token bucket for each, refilled steadily. Pure, as the clock
 * is an argument. npm's rate limiters (rate-limiter-flexible, hono-rate-limiter) keep a record for
 * every key that they meet in a window, without a bound, some with a timer each: whoever has many
 * addresses could fill the memory.
 */

/** Buckets that are remembered; the one that was not used for longest gives way. */
const MOST = 10_000;

/** What summing up small parts may lose. */
const ROUNDING = 1e-6;

interface Bucket {
  tokens: number;
  /** When it had that many, ms. */
  at: number;
}

/** One bucket a key. What is not remembered is full. */
export class TokenBuckets {
  readonly perMinute: number;
  readonly #now: () => number;
  readonly #most: number;
  /** The longest unused first. */
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perMinute what a full bucket holds, and what flows into it in a minute
   * @param now ms of a clock that is never put back
   * @param most buckets that are remembered @default 10,000
   */
  constructor(perMinute: number, now: () => number, most = MOST) {
    this.perMinute = perMinute;
    this.#now = now;
    this.#most = most;
  }

  /** Buckets that are remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one token and gives 0; or takes none and gives how long until there is one, ms. */
  take(key: string): number {
    const bucket = this.#refilled(key);
    this.#buckets.delete(key);
    if (this.#buckets.size >= this.#most) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(key, bucket);
    const wait = this.#untilOne(bucket);
    if (wait === 0) bucket.tokens -= 1;
    return wait;
  }

  /** How long until there is a token, ms; takes none. */
  wait(key: string): number {
    return this.#untilOne(this.#refilled(key));
  }

  #refilled(key: string): Bucket {
    const now = this.#now();
    const { tokens, at } = this.#buckets.get(key) ?? { tokens: this.perMinute, at: now };
    const flowed = (now - at) * this.#rate;
    return { tokens: Math.min(this.perMinute, tokens + flowed), at: now };
  }

  #untilOne({ tokens }: Bucket): number {
    return tokens > 1 - ROUNDING ? 0 : (1 - tokens) / this.#rate;
  }

  /** Tokens a ms. */
  get #rate(): number {
    return this.perMinute / 60_000;
  }
}
