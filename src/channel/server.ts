/**
 * What a gateway does with each channel, from top to bottom: mtls → route → forward. One instance
 * serves the certificates of one registration; after a renewal there is a new one.
 */
import type { Duplex } from "node:stream";
import { type Dial, dial } from "../egress/dial.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import type { ForwardResult } from "../forward/handler.ts";
import { FoldedLog } from "../folding.ts";
import { handlers } from "../forward/table.ts";
import type { KubernetesFiles } from "../forward/kubernetes.ts";
import { logger } from "../log.ts";
import { type ChannelCounts, NO_COUNTS } from "./counts.ts";
import { MtlsAcceptor, type VerifiedStream } from "./mtls.ts";
import { readRoute, type Route } from "./route.ts";

const log = logger("channel");

/** Modes in which the platform asks, every few seconds, whether we are there. */
const QUIET: ReadonlySet<Route["mode"]> = new Set(["ping", "health"]);

/** How a gateway's channels are served. */
export interface ChannelServerOptions {
  /** From the registration, PEM. */
  pki: { serverCertificate: string; serverPrivateKey: string; clientCertificateChain: string };
  /** @default egress/dial.ts */
  dial?: Dial;
  /** Time for a TLS handshake, ms. @default 10,000 */
  handshakeTimeout?: number;
  /** Time for connecting to a target, ms. @default 30,000 */
  connectTimeout?: number;
  /** TCP streams without a byte either way for this long are ended, ms. @default never */
  idleTimeout?: number;
  kubernetes?: KubernetesFiles;
}

/** Reads what one channel has carried so far. */
interface Meter {
  read(): ForwardResult;
}

/** Serves channels until it is closed. */
export class ChannelServer {
  readonly #acceptor: MtlsAcceptor;
  readonly #options: ChannelServerOptions;
  /** A target that is down fails every channel to it. */
  readonly #folded = new FoldedLog(log, Date.now);
  readonly #stop = new AbortController();
  readonly #serving = new Set<Promise<void>>();
  /** Bytes of channels that are over only; those of open ones are read from their meters. */
  readonly #totals: ChannelCounts = { ...NO_COUNTS };
  readonly #meters = new Set<Meter>();
  #nextId = 1;

  /** Throws `key-malformed` if the registration's key and certificate do not fit. */
  constructor(options: ChannelServerOptions) {
    const { pki, handshakeTimeout } = options;
    this.#acceptor = new MtlsAcceptor({ ...pki, handshakeTimeout });
    this.#options = options;
  }

  /** What there is to count, now. */
  get counts(): ChannelCounts {
    const counts = { ...this.#totals };
    for (const meter of this.#meters) addBytes(counts, meter.read());
    return counts;
  }

  /**
   * Takes a channel and serves it; never throws, the outcome is logged and counted, under the channel's
   * name if it has one.
   */
  accept(channel: Duplex & { name?: string }): void {
    if (this.#stop.signal.aborted) return void channel.destroy();
    const serving = this.#serve(channel, channel.name ?? String(this.#nextId++))
      .finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }

  /** Lets channels that are being served end by themselves; resolves when none is left. */
  async drain(): Promise<void> {
    while (this.#serving.size > 0) await Promise.all(this.#serving);
  }

  /** Ends every channel and frees everything. */
  async close(): Promise<void> {
    this.#stop.abort(new SallyportError("aborted", "the gateway is stopping"));
    await this.drain();
  }

  async #serve(channel: Duplex, id: string): Promise<void> {
    const totals = this.#totals;
    const meter: Meter = { read: () => ({ bytesIn: 0, bytesOut: 0 }) };
    totals.open++;
    this.#meters.add(meter);
    const started = performance.now();
    let route: Route | undefined;
    try {
      const verified = await this.#acceptor.accept(channel, this.#stop.signal);
      route = routeOf(verified);
      const level = QUIET.has(route.mode) ? "debug" : "info";
      log[level]("channel {id} open: {mode} to {target} for {actor}", describe(id, route));
      const result = await handlers[route.mode](verified.stream, route, {
        dial: this.#options.dial ?? dial,
        signal: this.#stop.signal,
        connectTimeout: this.#options.connectTimeout,
        idleTimeout: this.#options.idleTimeout,
        kubernetes: this.#options.kubernetes,
        meter: (read) => meter.read = read,
        report: (text, parts) =>
          this.#folded.tell("warn", `channel {id}: ${text}`, { id, ...parts }),
      });
      meter.read = () => result;
      totals.served++;
      const ms = Math.round(performance.now() - started);
      log[level]("channel {id} closed: {bytesIn} bytes in, {bytesOut} out, {ms} ms", {
        id,
        ...result,
        ms,
      });
    } catch (error) {
      totals.failed++;
      const { code, message } = asSallyportError(error);
      this.#folded.tell("warn", "channel {id} failed: {message}", { id, code, message });
    } finally {
      this.#meters.delete(meter);
      addBytes(totals, meter.read());
      // What was written may still wait for the channel's window: a drain waits for that, too.
      await closedOf(channel, this.#stop.signal);
      totals.open--;
    }
  }
}

function addBytes(counts: ChannelCounts, { bytesIn, bytesOut }: ForwardResult): void {
  counts.bytesIn += bytesIn;
  counts.bytesOut += bytesOut;
}

/** Waits until a channel is closed, and closes it when the signal comes. */
function closedOf(channel: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (channel.closed) return resolve();
    const stop = () => channel.destroy();
    channel.once("close", () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** The stream has no other owner yet, so it is destroyed here if it leads nowhere. */
function routeOf({ stream, alpn, certificate }: VerifiedStream): Route {
  try {
    return readRoute(alpn, certificate);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

function describe(id: string, { mode, target, actor, serial }: Route): Record<string, unknown> {
  return {
    id,
    mode,
    target: target ? `${target.host}:${target.port}` : "the gateway itself",
    actor: `${actor.type} ${actor.id ?? ""}`.trim(),
    serial,
  };
}
