/**
 * What key exchanges may cost, in time of the one thread that all sessions share. Most take a millisecond
 * or two; those in large finite fields take much longer (docs/protocol.md), and it is the other side
 * that chooses them, before it has logged in, and how often.
 */

/** Time that may be spent, ms: so much at once, and so much more with every second. */
export interface ExchangeAllowance {
  burst: number;
  perSecond: number;
}

/** New keys that the other side of one session asks for: some two thousand at once, or 30 a second. */
export const REKEY_ALLOWANCE: ExchangeAllowance = { burst: 3000, perSecond: 50 };
/** Costly exchanges with peers that have not logged in, all together. */
export const STRANGERS_ALLOWANCE: ExchangeAllowance = { burst: 3000, perSecond: 200 };

/** A bucket of milliseconds. What has been spent has been spent: it may run into debt once. */
export class ExchangeBudget {
  readonly #allowance: ExchangeAllowance;
  readonly #now: () => number;
  #left: number;
  #at: number;

  constructor(allowance: ExchangeAllowance, now = () => performance.now()) {
    this.#allowance = allowance;
    this.#now = now;
    this.#left = allowance.burst;
    this.#at = now();
  }

  /** True if nothing is left. */
  get exhausted(): boolean {
    const { burst, perSecond } = this.#allowance;
    const now = this.#now();
    this.#left = Math.min(burst, this.#left + (now - this.#at) / 1000 * perSecond);
    this.#at = now;
    return this.#left <= 0;
  }

  spend(time: number): void {
    this.#left -= time;
  }
}

/** The key exchanges that cost much: group16 8 times, group18 60 times as much as group14. */
export function isCostly(kex: string): boolean {
  return /^diffie-hellman-group1[5-8]-/.test(kex);
}
