/** Time as the link's policy sees it, so that tests can turn it by hand. */

/** A clock that can be waited on. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as that aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The host's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  wait: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", abort, { once: true });
    }),
};

/** Longest single wait for a moment: timers stand still while a host sleeps, its clock does not. */
const LONGEST_NAP = 15_000;

/** Resolves once `moment()` (ms since 1970) is past; it is asked again at least every 15 s. */
export async function waitUntil(
  clock: Clock,
  moment: () => number,
  signal?: AbortSignal,
): Promise<void> {
  for (let left; (left = moment() - clock.now()) > 0;) {
    await clock.wait(Math.min(left, LONGEST_NAP), signal);
  }
}
