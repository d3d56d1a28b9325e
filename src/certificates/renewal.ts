/** When to renew a certificate. Pure: the clock and the dice are arguments. */

/** Span in which a certificate holds. */
export interface Validity {
  notBefore: Date;
  notAfter: Date;
}

/** Longest time between two renewals, ms; the real gateway's is the same (protocol.md). */
export const LONGEST_RENEWAL = 6 * 60 * 60 * 1000;

/** Part of the life after which a certificate is renewed. */
const RENEW_AFTER = 2 / 3;

/** Part of the waiting time by which the moment may be drawn forward, so that a fleet spreads out. */
const SPREAD = 0.1;

/** What the moment depends on. */
export interface RenewalOptions extends Validity {
  now: Date;
  /** From 0 (inclusive) to 1 (exclusive). @default Math.random */
  random?: () => number;
  /** ms @default 6 h */
  longest?: number;
}

/**
 * The moment at which to fetch the next certificate: two thirds into its life or `longest` from now,
 * whichever comes first, up to a tenth of the way earlier by chance, never in the past.
 */
export function renewalTime(options: RenewalOptions): Date {
  const { notBefore, notAfter, now, random = Math.random, longest = LONGEST_RENEWAL } = options;
  const start = notBefore.getTime();
  const due = start + (notAfter.getTime() - start) * RENEW_AFTER;
  const wait = Math.max(0, Math.min(due - now.getTime(), longest));
  return new Date(now.getTime() + Math.round(wait * (1 - SPREAD * random())));
}
