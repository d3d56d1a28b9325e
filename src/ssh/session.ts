/**
 * What a client's and a server's session have in common: the socket under a transport, the connection
 * above it, keepalive, and one end for all of them. Authentication is what differs (client.ts,
 * server.ts).
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { SallyportError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import { input } from "./cipher/engine.ts";
import { type ChannelLimit, Connection } from "./connection.ts";
import { Transport, type TransportOptions, transportReady } from "./internals/transport.ts";
import { ALGORITHMS, type Algorithms } from "./algorithms.ts";
import { type ExchangeAllowance, ExchangeBudget, REKEY_ALLOWANCE } from "./exchange_budget.ts";
import { DISCONNECT } from "./message.ts";
import { readable } from "./readable.ts";
import { readDirectly } from "./socket_reader.ts";
import { SocketWriter } from "./socket_writer.ts";
import { VERSION } from "../version.ts";

/** How alive the other side must be. */
export interface Keepalive {
  /** Time between two questions, ms. */
  interval: number;
  /** Time within which an answer must come, ms. */
  timeout: number;
}

/** Both sides notice a dead peer within 20 s. */
export const DEFAULT_KEEPALIVE: Keepalive = { interval: 10_000, timeout: 10_000 };

/** When keys are renewed, and what is borne meanwhile. */
export interface Rekeying {
  /** New keys after this time (RFC 4253 §9), ms. Looked at with each keepalive. @default an hour */
  after?: number;
  /** Time that a key exchange may take, ms. @default 300,000 */
  timeout?: number;
  /** What exchanges that the other side asks for may cost. @default REKEY_ALLOWANCE */
  allowance?: ExchangeAllowance;
}

const REKEY_AFTER = 3_600_000;
/** A KEXINIT may stand behind megabytes on a slow line; a peer that is dead is noticed by keepalive. */
const REKEY_TIMEOUT = 300_000;

/** Bytes that may wait for the socket before channels are told to wait. */
const SOCKET_BUFFER = 1024 * 1024;

/**
 * Bytes that may wait for the socket at most. Channels keep to `SOCKET_BUFFER`; what goes beyond it are
 * answers to a peer that asks without reading.
 */
const MOST_UNREAD = 4 * 1024 * 1024;

/** Called by the session at the points where a client and a server differ. */
export interface Authentication {
  /** Keys are in place for the first time. */
  onReady(): void;
  /** A message of RFC 4252 while not yet authenticated. */
  onMessage(payload: Buffer): void;
  onServiceRequest?(name: string): void;
  onServiceAccept?(name: string): void;
}

/**
 * Bytes that may come before login: two key exchanges' worth of lists, and a few of the largest
 * certificates. More is somebody who wants to keep us busy.
 */
const MOST_BEFORE_LOGIN = 256 * 1024;

/** Part of the session's identifier that its channels are named after, bytes. */
const NAME_BYTES = 4;

/** How a session is set up. */
export interface SessionOptions
  extends Pick<TransportOptions, "role" | "verifyHostKey" | "host" | "rekeyBytes"> {
  /** Connected; owned by the session. */
  socket: Socket;
  /** Takes channels that the other side opens; without it they are refused. */
  onOpen?(channel: Channel): void;
  /** @default 2048 */
  maxChannels?: ChannelLimit;
  /** @default every 10 s, answered within 10 s */
  keepalive?: Keepalive;
  /** @default ALGORITHMS */
  algorithms?: Algorithms;
  rekeying?: Rekeying;
  /**
   * Does the work that the other side causes before login, in its turn; true if that was at once.
   * @default at once
   */
  pace?(work: () => void): boolean;
}

/** One SSH session over one socket. Ends once, for one reason, and frees everything then. */
export class Session {
  readonly connection: Connection;
  /** Resolves when the session is over: with the reason, or undefined if `close` ended it. */
  readonly closed: Promise<SallyportError | undefined>;
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  readonly #role: SessionOptions["role"];
  readonly #transport: Transport;
  readonly #keepalive: Keepalive;
  readonly #pace: SessionOptions["pace"];
  #resolveClosed!: (reason: SallyportError | undefined) => void;
  #authentication: Authentication | undefined;
  #authenticated = false;
  #name: string | undefined;
  #over = false;
  #congested = false;
  #direct = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #rekeying: Rekeying;
  readonly #asked: ExchangeBudget;
  #exchange: ReturnType<typeof setTimeout> | undefined;
  #exchangeByPeer = false;
  #keysSince = performance.now();
  #latency: number | undefined;

  constructor(options: SessionOptions) {
    const { socket, keepalive = DEFAULT_KEEPALIVE, algorithms = ALGORITHMS } = options;
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#socket = socket;
    this.#writer = new SocketWriter(socket);
    this.#keepalive = keepalive;
    this.#rekeying = options.rekeying ?? {};
    this.#asked = new ExchangeBudget(this.#rekeying.allowance ?? REKEY_ALLOWANCE);
    this.#pace = options.pace;
    this.#role = options.role;
    this.#transport = new Transport({
      role: options.role,
      algorithms,
      ident: `sallyport_${VERSION}`,
      verifyHostKey: options.verifyHostKey,
      host: options.host,
      rekeyBytes: options.rekeyBytes,
      mayRekey: () => !this.#stranger,
      events: {
        onWrite: (data) => this.#write(data),
        onReady: (first) => this.#onKeys(first),
        onExchange: (byPeer) => this.#onExchange(byPeer),
        onExchangeCost: (time) => {
          if (this.#exchangeByPeer) this.#asked.spend(time);
        },
        onMessage: (payload) => this.#onMessage(payload),
        onReceived: () => this.connection.deliver(),
        onServiceRequest: (name) =>
          this.#onService(() => this.#authentication?.onServiceRequest?.(name)),
        onServiceAccept: (name) =>
          this.#onService(() => this.#authentication?.onServiceAccept?.(name)),
        onDisconnect: (reason, text) => this.#onDisconnect(reason, text),
        onError: (error) => this.fail(asSshError(error)),
      },
    });
    this.connection = new Connection({
      send: (...parts) => this.#transport.send(...parts),
      // What is sent during a key exchange waits in ssh2's memory for its end.
      congested: () => this.#congested || this.#transport.exchanging,
      onOpen: options.onOpen,
      maxChannels: options.maxChannels,
      // Known to both ends and to nobody else, different for each session, and no secret.
      name: () => this.#name ??= this.sessionId.toString("hex", 0, NAME_BYTES),
    });
  }

  /** Begins; `authentication` drives the session until `authenticated` is called. */
  async start(authentication: Authentication): Promise<void> {
    this.#authentication = authentication;
    const socket = this.#socket;
    socket.on("error", (error) => this.fail(socketError(error)));
    socket.on("close", () => this.fail(new SallyportError("ssh-closed", "connection closed")));
    socket.on("end", () => {
      this.fail(new SallyportError("ssh-closed", "the other side closed the connection"));
    });
    socket.on("drain", () => {
      this.#congested = false;
      this.connection.drained();
    });
    await transportReady;
    if (this.#over) return;
    this.#transport.start();
    socket.on("data", (data: Buffer) => this.#receive(data));
    // One that came through a proxy is paused, so that nothing is lost on the way here.
    socket.resume();
  }

  /** Who comes to a server is one until the login; a client knows from its certificate who a relay is. */
  get #stranger(): boolean {
    return this.#role === "server" && !this.#authenticated;
  }

  /** The identifier that signatures are bound to (RFC 4252 §7). */
  get sessionId(): Buffer {
    return this.#transport.sessionId;
  }

  /** Algorithms of the last key exchange. */
  get negotiated(): Transport["negotiated"] {
    return this.#transport.negotiated;
  }

  /** What the other side offered in its first key exchange. */
  get peerOffer(): Transport["peerOffer"] {
    return this.#transport.peerOffer;
  }

  /** Bytes received and sent on the socket. */
  get traffic(): { received: number; sent: number } {
    return { received: this.#socket.bytesRead, sent: this.#socket.bytesWritten };
  }

  /** Round trip of the last keepalive that was answered, ms. */
  get latency(): number | undefined {
    return this.#latency;
  }

  /** Sends one message in parts. */
  send(...parts: Uint8Array[]): void {
    this.#transport.send(...parts);
  }

  /** Exchanges new keys now. */
  rekey(): void {
    this.#transport.rekey();
  }

  /** Authentication is over: from here on messages belong to the connection. */
  authenticated(): void {
    this.#authenticated = true;
    this.#scheduleKeepalive();
  }

  /** Round trip of one keepalive, ms. Rejects if the signal aborts or the session ends first. */
  ping(signal?: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const started = performance.now();
      const abort = () => reject(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      this.connection.ping(
        () => {
          signal?.removeEventListener("abort", abort);
          resolve(this.#latency = performance.now() - started);
        },
        (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      );
    });
  }

  /** Ends the session on purpose, with DISCONNECT. */
  close(reason: number = DISCONNECT.byApplication): void {
    if (!this.#over) this.#end(undefined, () => this.#transport.disconnect(reason));
  }

  /** Ends the session because of an error; the other side is told where that makes sense. */
  fail(error: SallyportError, reason: number = DISCONNECT.protocolError): void {
    if (this.#over) return;
    const tell = error.code !== "ssh-closed" && !this.#socket.destroyed;
    this.#end(readable(error), () => tell && this.#transport.disconnect(reason));
  }

  #end(error: SallyportError | undefined, goodbye: () => void): void {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#exchange);
    this.connection.end(error ?? new SallyportError("ssh-closed", "session closed"));
    goodbye();
    this.#transport.destroy();
    this.#writer.flush();
    const socket = this.#socket;
    // Let the goodbye leave, but never wait for a peer that is not there.
    socket.removeAllListeners("data");
    socket.resume();
    socket.end();
    this.#resolveClosed(error);
    if (socket.destroyed) return;
    const kill = setTimeout(() => socket.destroy(), 1000);
    socket.once("close", () => clearTimeout(kill));
  }

  #onKeys(first: boolean): void {
    clearTimeout(this.#exchange);
    this.#keysSince = performance.now();
    if (first) this.#authentication?.onReady();
    else this.connection.drained();
  }

  /** A key exchange after the first: nothing else is said until it is over, so it must be over soon. */
  #onExchange(byPeer: boolean): void {
    this.#exchangeByPeer = byPeer;
    if (byPeer && this.#asked.exhausted) {
      throw new SallyportError("ssh-protocol", "the other side asks for new keys again and again");
    }
    const { timeout = REKEY_TIMEOUT } = this.#rekeying;
    clearTimeout(this.#exchange);
    this.#exchange = setTimeout(() => {
      this.fail(
        new SallyportError("ssh-protocol", `a key exchange was not finished within ${timeout} ms`),
      );
    }, timeout);
  }

  #receive(data: Uint8Array): void {
    if (this.#over) return;
    if (this.#stranger && this.#socket.bytesRead > MOST_BEFORE_LOGIN) {
      const text = `more than ${MOST_BEFORE_LOGIN} bytes before login`;
      return this.fail(new SallyportError("ssh-protocol", text));
    }
    if (this.#pace && this.#stranger) return this.#receiveInTurn(data, this.#pace);
    this.#take(data);
  }

  #receiveInTurn(data: Uint8Array, pace: (work: () => void) => boolean): void {
    let waited = false;
    waited = !pace(() => {
      if (this.#over) return;
      this.#take(data);
      if (waited) this.#socket.resume();
    });
    if (waited) this.#socket.pause();
  }

  #take(data: Uint8Array): void {
    const { inPlace } = this.#transport;
    if (inPlace && this.#authenticated && !this.#direct && this.#socket.readableLength === 0) {
      this.#direct = true;
      readDirectly(this.#socket, input, (bytes) => this.#receive(bytes));
    }
    this.#transport.receive(data);
  }

  #write(data: Uint8Array): void {
    this.#writer.write(data);
    const { writableLength: unread } = this.#socket;
    if (unread > SOCKET_BUFFER) this.#congested = true;
    if (unread <= MOST_UNREAD || this.#over) return;
    // Not from within the packet that is being written.
    queueMicrotask(() => {
      const message = "the other side asks on and does not read the answers";
      this.fail(new SallyportError("ssh-protocol", message));
    });
  }

  #onMessage(payload: Buffer): void {
    if (this.#over) return;
    try {
      if (this.#authenticated) this.connection.receive(payload);
      else this.#authentication?.onMessage(Buffer.from(payload));
    } catch (error) {
      this.fail(asSshError(error));
    }
  }

  /** A service is asked for or granted on the way to a login, and at no other time. */
  #onService(work: () => void): void {
    if (this.#over) return;
    try {
      if (this.#authenticated) {
        throw new SallyportError("ssh-protocol", "a message about services after the login");
      }
      work();
    } catch (error) {
      this.fail(asSshError(error));
    }
  }

  #onDisconnect(reason: number, text: string): void {
    const detail = text ? `: ${text}` : "";
    this.fail(
      new SallyportError("ssh-closed", `the other side disconnected (reason ${reason})${detail}`),
    );
  }

  #scheduleKeepalive(): void {
    if (this.#over) return;
    this.#timer = setTimeout(() => {
      const { after = REKEY_AFTER } = this.#rekeying;
      if (performance.now() - this.#keysSince >= after) this.rekey();
      this.#awaitSignOfLife();
      const asked = performance.now();
      this.connection.ping(() => {
        this.#latency = performance.now() - asked;
        clearTimeout(this.#timer);
        this.#scheduleKeepalive();
      });
    }, this.#keepalive.interval);
  }

  /** On a slow line the answer can stand behind much else: whatever comes is a sign of life. */
  #awaitSignOfLife(): void {
    const { timeout } = this.#keepalive;
    const heard = this.#socket.bytesRead;
    this.#timer = setTimeout(() => {
      if (this.#socket.bytesRead !== heard) return this.#awaitSignOfLife();
      this.fail(new SallyportError("ssh-closed", `no sign of life for ${timeout} ms`));
    }, timeout);
  }
}

function socketError(error: Error): SallyportError {
  return new SallyportError("ssh-closed", `connection lost: ${error.message}`, { cause: error });
}

function asSshError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/no matching host key format|does not match negotiated type/.test(message)) {
    return new SallyportError("host-key-raw", "the relay shows a raw host key, not a certificate", {
      hint: "the relay must present a host certificate signed by the platform",
      cause: error,
    });
  }
  return new SallyportError("ssh-protocol", `SSH: ${message}`, { cause: error });
}
