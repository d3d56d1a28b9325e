/** What the link did lately: recent events, and throughput over the last 15 minutes. Bounded. */
import type { LinkSnapshot, LinkState } from "../link/state.ts";
import { type Happening, happenings } from "./events.ts";
import type { GatewayHistory, HistoryEvent, ThroughputSample } from "./schema.ts";

/** Events that are kept. */
export const MOST_EVENTS = 50;
/** Time between two samples of throughput, ms. */
export const SAMPLE_EVERY = 5_000;
/** Samples that are kept: 15 minutes. */
export const MOST_SAMPLES = 15 * 60_000 / SAMPLE_EVERY;

/** Follows a link from its construction until `close`. */
export class History {
  readonly #state: Pick<LinkState, "snapshot" | "subscribe">;
  readonly #now: () => number;
  readonly #events: HistoryEvent[] = [];
  readonly #samples: ThroughputSample[] = [];
  readonly #unsubscribe: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #last: { at: number; bytesIn: number; bytesOut: number };

  /** @param now ms since 1970 */
  constructor(state: Pick<LinkState, "snapshot" | "subscribe">, now: () => number = Date.now) {
    this.#state = state;
    this.#now = now;
    this.#last = this.#carried();
    this.#note({ kind: "started", text: "the gateway has started" });
    let before: LinkSnapshot = state.snapshot;
    this.#unsubscribe = state.subscribe((after) => {
      for (const happening of happenings(before, after)) this.#note(happening);
      before = after;
    });
    this.#timer = setInterval(() => this.sample(), SAMPLE_EVERY);
    (this.#timer as { unref?(): void }).unref?.();
  }

  /** Everything that is known. */
  get all(): GatewayHistory {
    return {
      now: new Date(this.#now()).toISOString(),
      events: this.#events.toReversed(),
      throughput: this.#samples,
    };
  }

  /** The last errors, the newest first. */
  errors(most: number): HistoryEvent[] {
    return this.#events.filter(({ code }) => code !== undefined).slice(-most).reverse();
  }

  /** Takes a sample of throughput; it covers the time since the one before. */
  sample(): void {
    const before = this.#last;
    const now = this.#last = this.#carried();
    const seconds = (now.at - before.at) / 1000;
    // The host's clock was put back.
    if (seconds <= 0) return;
    const rate = (bytes: number) => Math.max(0, Math.round(bytes / seconds));
    this.#samples.push({
      at: new Date(now.at).toISOString(),
      in: rate(now.bytesIn - before.bytesIn),
      out: rate(now.bytesOut - before.bytesOut),
    });
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }

  /** Follows no longer. */
  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }

  #carried() {
    const { channels: { bytesIn, bytesOut } } = this.#state.snapshot;
    return { at: this.#now(), bytesIn, bytesOut };
  }

  /** An error that was there since the tunnel was last up or lost is counted, not told again. */
  #note(happening: Happening): void {
    const at = new Date(this.#now()).toISOString();
    const known = this.#lately(happening);
    if (known) this.#events.splice(this.#events.indexOf(known), 1);
    this.#events.push({ at, ...happening, times: (known?.times ?? 0) + 1 });
    if (this.#events.length > MOST_EVENTS) this.#events.shift();
  }

  #lately({ kind, code }: Happening): HistoryEvent | undefined {
    if (kind !== "error") return undefined;
    for (const event of this.#events.toReversed()) {
      if (event.kind === "error" && event.code === code) return event;
      if (event.kind === "up" || event.kind === "lost") return undefined;
    }
  }
}
