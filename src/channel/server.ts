/**
 * What a gateway does with each channel, from top to bottom: mtls → route → policy → forward. One
 * instance serves the certificates of one registration; after a renewal there is a new one.
 */
import type { Duplex } from "node:stream";
import { type Dial, dial } from "../egress/dial.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import type { ForwardResult } from "../forward/handler.ts";
import type { KubernetesFiles } from "../forward/kubernetes.ts";
import { handlers } from "../forward/table.ts";
import { logger } from "../log.ts";
import type { TlsStream } from "../tls/stream.ts";
import type { AuditFile } from "./audit.ts";
import { type ChannelCounts, NO_COUNTS } from "./counts.ts";
import { MtlsAcceptor, type VerifiedStream } from "./mtls.ts";
import { OPEN_POLICY, type TargetPolicy } from "./policy.ts";
import { guardedDial } from "./policy_dial.ts";
import { ConnectionRecord } from "./record.ts";
import { readRoute, type Route } from "./route.ts";

const log = logger("channel");

/** How a gateway's channels are served. */
export interface ChannelServerOptions {
  /** From the registration, PEM. */
  pki: { serverCertificate: string; serverPrivateKey: string; clientCertificateChain: string };
  /** @default egress/dial.ts */
  dial?: Dial;
  /** Time for a TLS handshake, ms. @default 5,000 */
  handshakeTimeout?: number;
  /** Channels in their TLS handshake at a time. @default 256 */
  maxHandshakes?: number;
  /** Time for connecting to a target, ms. @default 30,000 */
  connectTimeout?: number;
  /** TCP streams without a byte either way for this long are ended, ms. @default never */
  idleTimeout?: number;
  kubernetes?: KubernetesFiles;
  /** Which targets may be connected to. @default all but those that never may without a word */
  policy?: TargetPolicy;
  /** Where it is written down who reached what. @default nowhere */
  audit?: Pick<AuditFile, "opened" | "closed">;
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
    const { pki, handshakeTimeout, maxHandshakes } = options;
    this.#acceptor = new MtlsAcceptor({ ...pki, handshakeTimeout, maxHandshakes });
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
    let record: ConnectionRecord | undefined;
    try {
      const verified = await this.#acceptor.accept(channel, this.#stop.signal);
      const route = routeOf(verified);
      record = new ConnectionRecord(id, route, {
        audit: this.#options.audit,
        folded: this.#folded,
        onRefused: () => totals.refused++,
      });
      const result = await this.#recorded(verified.stream, route, record, meter);
      meter.read = () => result;
      totals.served++;
      record.ended(result);
    } catch (error) {
      totals.failed++;
      const failure = asSallyportError(error);
      const { code, message } = failure;
      if (record) record.failed(failure);
      else this.#folded.tell("warn", "channel {id} failed: {message}", { id, code, message });
    } finally {
      this.#meters.delete(meter);
      addBytes(totals, meter.read());
      // What was written may still wait for the channel's window: a drain waits for that, too.
      await closedOf(channel, this.#stop.signal);
      totals.open--;
    }
  }

  /** Forwards between the first and the last line of the record. */
  async #recorded(
    stream: TlsStream,
    route: Route,
    record: ConnectionRecord,
    meter: Meter,
  ): Promise<ForwardResult> {
    try {
      record.opened();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    let reason = "ended";
    try {
      return await this.#forward(stream, route, record, meter);
    } catch (error) {
      reason = asSallyportError(error).code;
      throw error;
    } finally {
      record.closed(reason, stream.traffic);
    }
  }

  #forward(
    stream: TlsStream,
    route: Route,
    record: ConnectionRecord,
    meter: Meter,
  ): Promise<ForwardResult> {
    const { policy = OPEN_POLICY, connectTimeout, idleTimeout, kubernetes } = this.#options;
    return handlers[route.mode](stream, route, {
      dial: guardedDial(this.#options.dial ?? dial, policy, record),
      signal: this.#stop.signal,
      connectTimeout,
      idleTimeout,
      kubernetes,
      meter: (read) => meter.read = read,
      report: (text, parts) => record.report(text, parts),
    });
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
