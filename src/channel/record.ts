/** What one connection leaves behind: its lines in the log and in the audit file. */
import { randomUUID } from "node:crypto";
import type { FoldedLog } from "../folding.ts";
import { formatAddress } from "../listen.ts";
import { logger } from "../log.ts";
import type { AuditedEnd, AuditFile } from "./audit.ts";
import type { RefusedTarget, TargetWitness } from "./policy_dial.ts";
import type { Route } from "./route.ts";

const log = logger("channel");

/** Most targets that one line of the audit file names: an http stream may ask for many. */
const MOST_PLACES = 16;

/** Modes in which the platform asks, every few seconds, whether we are there. */
const QUIET: ReadonlySet<Route["mode"]> = new Set(["ping", "health"]);

/** Whom a record tells. */
export interface RecordOptions {
  /** @default nothing is written down */
  audit?: Pick<AuditFile, "opened" | "closed">;
  /** For what may happen to every connection. */
  folded: FoldedLog;
  /** Told of each address that the target policy refused. */
  onRefused(): void;
}

/** The record of one connection, from its verified certificate on. */
export class ConnectionRecord implements TargetWitness {
  readonly #facts: ReturnType<typeof describe>;
  readonly #route: Route;
  readonly #options: RecordOptions;
  readonly #connection = randomUUID();
  readonly #places: Required<Pick<AuditedEnd, "connected" | "refused">> = {
    connected: [],
    refused: [],
  };
  readonly #started = performance.now();

  /** @param id the channel's name in the log */
  constructor(id: string, route: Route, options: RecordOptions) {
    this.#facts = describe(id, route);
    this.#route = route;
    this.#options = options;
  }

  /** Throws `audit` if it cannot be written down: then the connection must not be served. */
  opened(): void {
    this.#options.audit?.opened(this.#audited);
    const text = "channel {id} open: {mode} to {target} for {actor}, certificate {serial}";
    log[this.#level](text, this.#facts);
  }

  /** The connection has come to its own end. */
  ended({ bytesIn, bytesOut }: { bytesIn: number; bytesOut: number }): void {
    const ms = this.#ms;
    const text = "channel {id} closed: {bytesIn} bytes in, {bytesOut} out, {ms} ms, for {actor}";
    log[this.#level](text, { ...this.#facts, bytesIn, bytesOut, ms });
  }

  /** The connection has failed. */
  failed({ code, message }: { code: string; message: string }): void {
    const text = "channel {id} failed: {message} (for {actor}, certificate {serial})";
    this.#options.folded.tell("warn", text, { ...this.#facts, code, message });
  }

  /**
   * The last line.
   * @param reason "ended", or an error's code
   */
  closed(reason: string, { received, sent }: { received: number; sent: number }): void {
    const { connected, refused } = this.#places;
    this.#options.audit?.closed(this.#audited, {
      bytesIn: received,
      bytesOut: sent,
      ms: this.#ms,
      reason,
      ...(connected.length > 0 && { connected }),
      ...(refused.length > 0 && { refused }),
    });
  }

  onConnected(address: string): void {
    note(this.#places.connected, address);
  }

  onRefused({ host, address, port, why }: RefusedTarget): void {
    const where = formatAddress({ host: address, port });
    note(this.#places.refused, where);
    this.#options.onRefused();
    const text = "channel {id}: target {host} at {address} is refused {why}; " +
      "{actor} asked, certificate {serial}";
    this.#options.folded.tell("warn", text, {
      ...this.#facts,
      host: printable(host),
      address: where,
      why,
      // Another asker, or another target, is news.
      about: `${this.#facts.actor} ${host} ${where}`,
    });
  }

  /** Something within the connection has failed; it goes on. */
  report(text: string, parts: { message: string; [part: string]: unknown }): void {
    this.#options.folded.tell("warn", `channel {id}: ${text}`, { id: this.#facts.id, ...parts });
  }

  get #level(): "debug" | "info" {
    return QUIET.has(this.#route.mode) ? "debug" : "info";
  }

  get #ms(): number {
    return Math.round(performance.now() - this.#started);
  }

  get #audited() {
    const { mode, target, actor, serial } = this.#route;
    return {
      connection: this.#connection,
      mode,
      ...(target && { target: `${target.host}:${target.port}` }),
      actor,
      serial,
    };
  }
}

function note(places: string[], place: string): void {
  if (places.length < MOST_PLACES && !places.includes(place)) places.push(place);
}

function describe(id: string, { mode, target, actor, serial }: Route) {
  return {
    id,
    mode,
    target: target ? printable(`${target.host}:${target.port}`) : "the gateway itself",
    actor: printable(`${actor.type} ${actor.id ?? ""}`.trim()),
    serial,
  };
}

/** What a certificate says must not move a terminal's cursor. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
