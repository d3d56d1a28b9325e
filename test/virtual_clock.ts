/** A clock that stands still until a test turns it, so that policy over hours is tested in no time. */
import type { Clock } from "../src/link/clock.ts";

interface Sleeper {
  at: number;
  wake(): void;
}

export class VirtualClock implements Clock {
  /** Each wait that was asked for, ms. */
  readonly waits: number[] = [];
  readonly #sleepers = new Set<Sleeper>();
  #now: number;

  constructor(now = Date.UTC(2030, 0, 1)) {
    this.#now = now;
  }

  now = (): number => this.#now;

  wait = (ms: number, signal?: AbortSignal): Promise<void> => {
    this.waits.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal!.reason);
      };
      const sleeper = {
        at: this.#now + ms,
        wake: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#sleepers.add(sleeper);
    });
  };

  /** Waits that nobody has ended yet. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** Turns the clock on by `ms`; everybody whose time comes wakes in order, at that time. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next; (next = this.#earliest(until));) {
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers.delete(next);
      next.wake();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  /** The host's clock is put forward: nobody wakes, as timers do not count by it. */
  step(ms: number): void {
    this.#now += ms;
    for (const sleeper of this.#sleepers) sleeper.at += ms;
  }

  #earliest(until: number): Sleeper | undefined {
    let earliest: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.at <= until && (!earliest || sleeper.at < earliest.at)) earliest = sleeper;
    }
    return earliest;
  }
}

/** Lets everything run that waits for nothing but other promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * Resolves once `fact` is true: real sockets go on meanwhile, a virtual clock stands still. Rejects
 * after ten seconds, with what did not come about.
 */
export async function until(fact: () => boolean, what: string): Promise<void> {
  const late = performance.now() + 10_000;
  while (!fact()) {
    if (performance.now() > late) throw new Error(`it did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
