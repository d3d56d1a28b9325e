/**
 * The gateway's certificates over time. The newest registration serves every new channel; channels
 * that are open stay with the one they began with. How the SSH session comes to the newest is told in
 * succession.ts.
 */
import type { Duplex } from "node:stream";
import { renewalTime } from "../certificates/renewal.ts";
import { addCounts, type ChannelCounts, NO_COUNTS } from "../channel/counts.ts";
import type { ChannelServer } from "../channel/server.ts";
import { asSallyportError, type SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import { askedWait } from "./backoff.ts";
import { type Clock, waitUntil } from "./clock.ts";
import type { Registered, RelayWish } from "./register.ts";
import type { LinkState } from "./state.ts";

const log = logger("link");

/** With less life left than this, certificates are renewed before they are used to connect, ms. */
const TOO_LITTLE_LIFE = 60_000;
/** Time between two attempts to renew, ms; up to as much again by chance. */
const RENEWAL_RETRY = 60_000;

/** What a rotation needs of a ChannelServer. */
export type ChannelTaker = Pick<ChannelServer, "accept" | "drain" | "close" | "counts">;

/** What it takes to keep certificates. */
export interface RotationOptions {
  register(wish: RelayWish, signal?: AbortSignal): Promise<Registered>;
  /** Opens the server for the channels of one registration. */
  openChannels(pki: Registered["registration"]["pki"]): ChannelTaker;
  state: LinkState;
  clock: Clock;
  /** @default Math.random */
  random?: () => number;
}

interface Generation extends Registered {
  channels: ChannelTaker;
}

/** Owns the registrations and their channel servers. */
export class Rotation {
  readonly #options: RotationOptions;
  readonly #folded: FoldedLog;
  readonly #servers = new Set<ChannelTaker>();
  readonly #retiring = new Set<Promise<void>>();
  /** Of channel servers that are gone. */
  #past: ChannelCounts = NO_COUNTS;
  #newest: Generation | undefined;
  #renewAt = Infinity;
  #stale = false;
  #pending: Promise<Generation> | undefined;
  #refusing = false;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#folded = new FoldedLog(log, () => options.clock.now());
  }

  /** Channels being served now, on old and new certificates. */
  get open(): number {
    let open = 0;
    for (const { counts } of this.#servers) open += counts.open;
    return open;
  }

  /** Of all channels since the gateway started. */
  get counts(): ChannelCounts {
    let counts = this.#past;
    for (const server of this.#servers) counts = addCounts(counts, server.counts);
    return counts;
  }

  /** The newest registration, if there is one. */
  get newest(): Registered | undefined {
    return this.#newest;
  }

  /**
   * Certificates to connect with: the newest, or new ones if there are none, if those were discarded,
   * or if their end is near. Ones that still hold are given once more while no new ones can be had.
   */
  async current(avoid: ReadonlySet<string>, signal: AbortSignal): Promise<Registered> {
    const newest = this.#newest;
    const left = newest ? newest.validity.notAfter.getTime() - this.#options.clock.now() : 0;
    if (newest && !this.#stale && left > TOO_LITTLE_LIFE) return newest;
    try {
      return await this.#renew({ avoid }, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { message, code, hint } = asSallyportError(error);
      if (!newest || left <= 0 || code === "revoked") throw error;
      const text = "no new certificates, the old ones are tried once more: {message}";
      this.#folded.tell("warn", text, { message, code, hint });
      return newest;
    }
  }

  /** The newest registration should not be used again if another can be had. */
  discard(): void {
    this.#stale = true;
  }

  /** Renews in time, for as long as the gateway runs; ends when `signal` aborts, or with `revoked`. */
  async keepFresh(signal: AbortSignal): Promise<void> {
    const { clock, state, random = Math.random } = this.#options;
    await state.until(() => this.#newest !== undefined, signal);
    for (;;) {
      await waitUntil(clock, () => this.#renewAt, signal);
      try {
        await this.#renew({ relayName: this.#newest?.relayName }, signal);
        log.info("certificates renewed, they hold until {end}{after}", {
          end: this.#newest?.validity.notAfter.toISOString(),
          after: this.#folded.recovered(),
        });
        this.#folded.forget();
      } catch (error) {
        signal.throwIfAborted();
        const failure = asSallyportError(error);
        const { message, code, hint } = failure;
        if (code === "revoked") throw failure;
        // The relay may have been removed: the next connect looks for another one.
        if (code === "api-not-found") this.discard();
        const retry = Math.round(RENEWAL_RETRY * (1 + random()));
        this.#schedule(clock.now() + Math.max(retry, askedWait(failure)));
        const text = "certificates not renewed yet: {message}";
        this.#folded.failed("warn", text, { message, code, hint });
        state.fault(failure);
      }
    }
  }

  /** Gets certificates for another relay; the session follows it there (succession.ts). */
  async moveTo(relayName: string, signal: AbortSignal): Promise<void> {
    await this.#renew({ relayName }, signal);
  }

  /** Serves a channel with the newest certificates. */
  accept(channel: Duplex): void {
    if (this.#refusing || !this.#newest) return void channel.destroy();
    this.#newest.channels.accept(channel);
  }

  /** Takes no more channels; resolves when those that are open have ended by themselves. */
  async drain(): Promise<void> {
    this.#refusing = true;
    await Promise.all([...this.#servers].map((server) => server.drain()));
  }

  /** Ends every channel and frees everything. */
  async close(): Promise<void> {
    this.#refusing = true;
    await Promise.all([...this.#servers].map((server) => server.close()));
    await Promise.all(this.#retiring);
    this.#past = this.counts;
    this.#servers.clear();
  }

  /** One registration at a time: who asks meanwhile gets the same. */
  #renew(wish: RelayWish, signal: AbortSignal): Promise<Generation> {
    return this.#pending ??= this.#fetch(wish, signal).finally(() => this.#pending = undefined);
  }

  async #fetch(wish: RelayWish, signal: AbortSignal): Promise<Generation> {
    const { register, openChannels } = this.#options;
    const registered = await register(wish, signal);
    const channels = openChannels(registered.registration.pki);
    if (signal.aborted) {
      await channels.close();
      throw signal.reason;
    }
    return this.#adopt({ ...registered, channels });
  }

  #adopt(generation: Generation): Generation {
    const { clock, state, random } = this.#options;
    const older = this.#newest;
    this.#newest = generation;
    this.#servers.add(generation.channels);
    this.#stale = false;
    if (older) this.#retire(older.channels);
    const due = renewalTime({ ...generation.validity, now: new Date(clock.now()), random });
    // Certificates that come already due must not make the gateway ask without a pause.
    this.#schedule(Math.max(due.getTime(), clock.now() + TOO_LITTLE_LIFE / 2));
    state.update({
      gatewayId: generation.registration.gatewayId,
      certificatesEnd: generation.validity.notAfter,
    });
    return generation;
  }

  #schedule(at: number): void {
    this.#renewAt = at;
    this.#options.state.update({ nextRenewal: new Date(at) });
  }

  /** Channels on older certificates may end by themselves; then their server is closed. */
  #retire(channels: ChannelTaker): void {
    const retiring = channels.drain()
      .then(() => channels.close())
      .catch((error) => {
        log.warn("old channels: {message}", { message: asSallyportError(error).message });
      })
      .finally(() => {
        if (this.#servers.delete(channels)) this.#past = addCounts(this.#past, channels.counts);
        this.#retiring.delete(retiring);
      });
    this.#retiring.add(retiring);
  }
}

/** True for errors after which other certificates, or another address, may help. */
export function callsForNewCertificates({ code }: SallyportError): boolean {
  return code === "ssh-authentication" || code === "key-malformed" || code === "host-key-raw" ||
    code.startsWith("certificate-");
}
