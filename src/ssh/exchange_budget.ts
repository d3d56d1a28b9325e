/**
 * What the key exchanges that the other side of a session asks for may cost, in time of the one thread
 * that all sessions share. Before the login there is one exchange; the relay does those in turns.
 */

/** Time that may be spent, ms: so much at once, and so much more with every second. */
export interface ExchangeAllowance {
  burst: number;
  perSecond: number;
}

/** New keys that the other side of one session asks for: some two thousand at once, or 30 a second. */
export const REKEY_ALLOWANCE: ExchangeAllowance = { burst: 3000, perSecond: 50 };

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
