/** The link as others may see it: a plain object that is replaced at each change, and its readers. */
import { type ChannelCounts, NO_COUNTS } from "../channel/counts.ts";
import type { SallyportError } from "../errors.ts";

/**
 * Where the link is in its life: `starting` (not registered yet), `connecting`, `up`, `draining`
 * (stopping; open channels may end), `down` (lost, waiting to try again, or stopped).
 */
export type LinkPhase = "starting" | "connecting" | "up" | "draining" | "down";

/** The last thing that went wrong. */
export interface LinkFault {
  code: string;
  message: string;
  hint?: string;
  at: Date;
}

/** The state of the link at one moment. */
export interface LinkSnapshot {
  readonly phase: LinkPhase;
  /** Since when it is in this phase. */
  readonly since: Date;
  /** The gateway's name. */
  readonly gateway: string;
  readonly gatewayId?: string;
  /** The relay in use or last used. */
  readonly relay?: { name?: string; address: string };
  /** Stays after a recovery; compare its time with `since`. */
  readonly lastError?: LinkFault;
  /** How often the link came up again after the first time. */
  readonly reconnects: number;
  /** Last heartbeat that the platform has taken. */
  readonly heartbeat?: Date;
  /** End of the newest certificates. */
  readonly certificatesEnd?: Date;
  readonly nextRenewal?: Date;
  /** Of all channels since the gateway started. */
  readonly channels: ChannelCounts;
  /** Round trip to the relay, ms; only while there is a tunnel. */
  readonly latency?: number;
}

/** What is measured when somebody asks, since it changes too often to be told each time. */
export interface LinkMeasures {
  channels(): ChannelCounts;
  latency(): number | undefined;
}

type Measured = "channels" | "latency";

/** What can be changed. */
export type LinkChange = Partial<Omit<LinkSnapshot, "since" | "gateway" | Measured>>;

/** Told of each change, with the new state. */
export type LinkListener = (snapshot: LinkSnapshot) => void;

/** Holds the state, tells its listeners. */
export class LinkState {
  readonly #listeners = new Set<LinkListener>();
  readonly #now: () => number;
  #fields: Omit<LinkSnapshot, Measured>;
  #measures: LinkMeasures = { channels: () => NO_COUNTS, latency: () => undefined };

  /** @param now ms since 1970 */
  constructor(gateway: string, now: () => number = Date.now) {
    this.#now = now;
    this.#fields = { phase: "starting", since: new Date(now()), gateway, reconnects: 0 };
  }

  /** Where measures come from. */
  measureBy(measures: LinkMeasures): void {
    this.#measures = measures;
  }

  /** The state now. */
  get snapshot(): LinkSnapshot {
    const { phase } = this.#fields;
    const latency = phase === "up" || phase === "draining" ? this.#measures.latency() : undefined;
    return {
      ...this.#fields,
      channels: this.#measures.channels(),
      ...(latency !== undefined && { latency }),
    };
  }

  /** Changes fields and tells the listeners; a new phase begins now. */
  update(change: LinkChange): void {
    const moved = change.phase !== undefined && change.phase !== this.#fields.phase;
    const since = moved ? new Date(this.#now()) : this.#fields.since;
    this.#fields = { ...this.#fields, ...change, since };
    for (const listener of [...this.#listeners]) listener(this.snapshot);
  }

  /** Notes an error, and the phase that it leads to. */
  fault(error: SallyportError, phase?: LinkPhase): void {
    const { code, message, hint } = error;
    this.update({
      lastError: { code, message, hint, at: new Date(this.#now()) },
      ...(phase && { phase }),
    });
  }

  /** Calls `listener` at each change until the returned function is called. */
  subscribe(listener: LinkListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves with the first state that fits, be it the present one; rejects when `signal` aborts. */
  until(fits: (snapshot: LinkSnapshot) => boolean, signal?: AbortSignal): Promise<LinkSnapshot> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (fits(this.snapshot)) return resolve(this.snapshot);
      const settle = () => {
        unsubscribe();
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => {
        settle();
        reject(signal!.reason);
      };
      const unsubscribe = this.subscribe((snapshot) => {
        if (!fits(snapshot)) return;
        settle();
        resolve(snapshot);
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }
}
