/** `sallyport connect`: a local port whose connections come out at a private target. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { asSallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { pipe } from "../forward/pipe.ts";
import { listen, type ListenAddress } from "../listen.ts";
import { logger } from "../log.ts";
import { connectionLimit } from "../open_files.ts";
import { type ConnectionGrant, StreamOpener } from "./stream.ts";

const log = logger("client");

/** A grant is asked for anew when it is older than this, ms; its certificates live five minutes. */
const GRANT_FRESH = 4 * 60_000;

/** Local connections at a time; each takes another to the relay. */
const MOST_CONNECTIONS = 4096;

/** What a local port leads to. */
export interface ConnectOptions {
  listen: ListenAddress;
  /** Asks the platform for certificates for the one target of this port. */
  grant(signal: AbortSignal): Promise<ConnectionGrant>;
  /** HTTP mode: the gateway itself speaks to the target, with TLS if need be. */
  http?: HttpOptions;
  /** Milliseconds since 1970. @default Date.now */
  now?: () => number;
}

/** The CONFIG line of HTTP mode (protocol.md). */
export interface HttpOptions {
  /** Authority for https targets, PEM. */
  ca?: string;
  /** Whether an https target's certificate is checked. @default true */
  verify?: boolean;
}

/** A local port that is open. */
export interface RunningConnect {
  address: ListenAddress;
  /** Resolves when it has stopped and everything is closed, because its signal was aborted. */
  finished: Promise<void>;
}

/**
 * Opens the local port. The first grant is asked for before, so that a wrong gateway name or token
 * shows before anybody can connect. Rejects with what the platform says, `port-in-use` or `listen`.
 */
export async function startConnect(
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<RunningConnect> {
  const grants = new Grants(options.grant, options.now ?? Date.now, signal);
  await grants.current();
  signal.throwIfAborted();
  const opener = new StreamOpener();
  const serving = new Set<Promise<void>>();
  const folded = new FoldedLog(log, options.now ?? Date.now);
  const limit = connectionLimit(MOST_CONNECTIONS, "connections");
  let nextId = 1;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (serving.size >= limit(serving.size)) {
      const text = "connection {id} closed at once: there are {most} already";
      folded.tell("warn", text, { id: nextId++, most: serving.size });
      return void socket.destroy();
    }
    const served = serve(socket, options, { id: nextId++, grants, opener, folded, signal })
      .finally(() => serving.delete(served));
    serving.add(served);
  });
  const address = await listen(server, options.listen, "--listen");
  const finished = aborted(signal).then(async () => {
    const closed = once(server, "close");
    server.close();
    await Promise.all(serving);
    await closed;
  });
  return { address, finished };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

interface Means {
  /** Of this connection, for its lines in the log. */
  id: number;
  folded: FoldedLog;
  grants: Grants;
  opener: StreamOpener;
  signal: AbortSignal;
}

/** One local connection, from its start to its end. Never rejects: what went wrong is logged. */
async function serve(socket: Socket, { http }: ConnectOptions, means: Means): Promise<void> {
  const { id, grants, opener, folded, signal } = means;
  const gone = new AbortController();
  socket.on("error", () => {});
  socket.once("close", () => gone.abort());
  const ends = AbortSignal.any([signal, gone.signal]);
  const alpn = http ? "infisical-http-proxy" : "infisical-tcp-proxy";
  let stream: Duplex;
  try {
    stream = await opener.stream(await grants.current(), alpn, ends, (from) => {
      log.debug("connection {id} goes to the relay from {from}", { id, from });
    });
  } catch (error) {
    socket.destroy();
    if (ends.aborted) return;
    const { code, message } = asSallyportError(error);
    return folded.tell("warn", "connection {id} failed: {message}", { id, code, message });
  }
  if (http) stream.write(configLine(http));
  try {
    const { aToB, bToA } = await pipe(socket, stream, { signal });
    log.debug("connection {id} over: {aToB} bytes in, {bToA} out", { id, aToB, bToA });
    // It closes when the relay has had its last word, too.
    if (!stream.closed) await Promise.race([once(stream, "close"), aborted(signal)]);
  } catch (error) {
    if (signal.aborted) return;
    const { code, message } = asSallyportError(error);
    // A gateway that cannot serve a TCP stream has no way to say so but to cut it off.
    const text = stream.readableDidRead || http
      ? "connection {id} broke: {message}"
      : "connection {id} broke before the target sent anything ({message}): the gateway cannot " +
        "reach it or its policy refuses it; its log says which";
    folded.tell("warn", text, { id, code, message });
  }
}

/** The line that HTTP mode begins with. */
export function configLine({ ca, verify }: HttpOptions): string {
  const words = ["CONFIG"];
  if (ca !== undefined) words.push(`ca=${Buffer.from(ca).toString("base64")}`);
  if (ca !== undefined || verify !== undefined) words.push(`verify=${verify ?? true}`);
  return `${words.join(" ")}\n`;
}

/** The current grant; concurrent callers share one request. */
class Grants {
  #pending: Promise<ConnectionGrant> | undefined;
  #since = 0;

  constructor(
    readonly ask: (signal: AbortSignal) => Promise<ConnectionGrant>,
    readonly now: () => number,
    readonly signal: AbortSignal,
  ) {}

  current(): Promise<ConnectionGrant> {
    if (!this.#pending || this.now() - this.#since > GRANT_FRESH) {
      this.#since = this.now();
      const asked = this.ask(this.signal);
      this.#pending = asked;
      asked.catch(() => {
        if (this.#pending === asked) this.#pending = undefined;
      });
    }
    return this.#pending;
  }
}
