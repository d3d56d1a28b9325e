/**
 * The relay's TLS door (protocol.md, "TLS 8443"): a client certificate's CN names the gateway, and
 * what follows inside the TLS goes through that gateway's SSH session. The relay cannot read it: it is
 * the ciphertext of a second TLS between the client and the gateway.
 */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from "node:tls";
import { OID, readX509, type X509Facts } from "../certificates/x509.ts";
import { acceptTls, TlsCarrier } from "../tls/carrier.ts";
import { TlsStream } from "../tls/stream.ts";
import { asSallyportError } from "../errors.ts";
import { pipe } from "../forward/pipe.ts";
import { FoldedLog } from "../folding.ts";
import { formatAddress } from "../listen.ts";
import { logger } from "../log.ts";
import type { Channel } from "../ssh/channel.ts";
import { Lobby } from "./lobby.ts";
import { Pace } from "./pace.ts";
import { plainAddress, sourceOf } from "../source.ts";
import type { Registry } from "./registry.ts";
import { RevocationList } from "./revocations.ts";

const log = logger("relay");

/** The platform's reachability check shows this id. */
const NOBODY = "00000000-0000-0000-0000-000000000000";
/** What a TLS record with a ClientHello begins with (RFC 8446 §5.1). */
const HANDSHAKE = 22;
/** Time for the TLS handshake, ms (protocol.md). */
const HANDSHAKE_TIMEOUT = 5_000;
/** Time for the gateway to accept a channel, ms. */
const OPEN_WITHIN = 10_000;
/** A client that is silent for this long is asked by TCP whether it is still there, ms. */
const PROBE_AFTER = 60_000;

/** Said of a connection that is closed at once. */
export const NO_ROOM = "connection from {from} closed: this relay has as many as it may have";

/** The relay's TLS keys, PEM. */
export interface FrontDoorKeys {
  serverCertificate: string;
  serverPrivateKey: string;
  clientCertificateChain: string;
}

/** What a door needs. */
export interface FrontDoorOptions {
  registry: Registry;
  /** @default nobody is cut off */
  revocations?: RevocationList;
  /** In which turn strangers have what they ask for. @default one of its own */
  pace?: Pace;
  /** Whether there is room for one more connection; destroys it if not. @default there is */
  admit?(socket: Socket): boolean;
  /** Time for a TLS handshake, ms. @default 5,000 */
  handshakeTimeout?: number;
  /** Clients in their TLS handshake at a time. @default 1,024 */
  maxUnauthenticated?: number;
  /** Of these, from one address. @default 512 */
  maxUnauthenticatedPerAddress?: number;
}

/** The TLS door. Owns its connections and the streams through them. */
export class FrontDoor {
  /** Listens for TCP; the caller opens it. */
  readonly server: Server;
  readonly #registry: Registry;
  /** Those whose handshake is not over. */
  readonly lobby: Lobby;
  readonly #admit: (socket: Socket) => boolean;
  readonly #pace: Pace;
  readonly #sockets = new Set<Socket>();
  readonly #serving = new Set<Promise<void>>();
  /** Who knocks at an open door knocks again and again. */
  readonly #folded = new FoldedLog(log, Date.now);
  readonly #revocations: RevocationList;
  /** Open streams, and whose they are as far as their certificates tell. */
  readonly #streams = new Map<TlsStream, string | undefined>();
  #tls: TlsServer | undefined;
  /** Settles when the server, told to stop, has lost its last connection. */
  #closed: Promise<unknown> = Promise.resolve();

  constructor(options: FrontDoorOptions) {
    this.#registry = options.registry;
    this.#revocations = options.revocations ?? new RevocationList();
    this.#pace = options.pace ?? new Pace();
    this.#admit = options.admit ?? (() => true);
    this.lobby = new Lobby({
      timeout: options.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
      most: options.maxUnauthenticated,
      mostPerSource: options.maxUnauthenticatedPerAddress,
    });
    this.server = createTcpServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER },
      (socket) => this.#receive(socket),
    );
  }

  /**
   * New connections get these keys; those that exist keep theirs. Throws if they do not fit together.
   * Connections that come before the first keys are closed.
   */
  setKeys(keys: FrontDoorKeys): void {
    // Not a TLSSocket made by hand: that accepts foreign authorities (protocol.md, "Trap").
    const tls = createTlsServer(
      {
        cert: keys.serverCertificate,
        key: keys.serverPrivateKey,
        ca: keys.clientCertificateChain,
        requestCert: true,
        rejectUnauthorized: true,
        minVersion: "TLSv1.2",
        allowHalfOpen: true,
      } as Parameters<typeof createTlsServer>[0],
    );
    this.#tls = tls;
  }

  /** Ends the streams of identities that were cut off. */
  dropRevoked(): void {
    for (const [stream, identity] of this.#streams) {
      if (!this.#revocations.hasIdentity(identity)) continue;
      log.warn("identity {identity} was revoked: its stream is ended", { identity });
      stream.destroy();
    }
  }

  /** Takes no more connections; `drained` resolves when the `open` streams have ended. */
  drain(): { open: number; drained: Promise<unknown> } {
    this.#stopListening();
    return { open: this.#serving.size, drained: Promise.all(this.#serving) };
  }

  /** Ends every stream; resolves when all connections are gone. */
  async close(): Promise<void> {
    const closed = this.#stopListening();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await Promise.all(this.#serving);
  }

  #stopListening(): Promise<unknown> {
    if (!this.server.listening) return this.#closed;
    this.#closed = once(this.server, "close");
    this.server.close();
    return this.#closed;
  }

  #receive(socket: Socket): void {
    socket.on("error", () => {});
    if (!this.#tls) return void socket.destroy();
    if (!this.#admit(socket)) return this.#folded.tell("warn", NO_ROOM, { from: nameOf(socket) });
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const from = nameOf(socket);
    this.lobby.enter(socket, (why) => {
      const text = "client at {from} cut off during its TLS handshake: {message}";
      this.#folded.tell("info", text, { from, message: why });
    });
    const tls = this.#tls;
    // Strangers who say nothing, or something else, are not worth a TLS engine.
    socket.once("end", () => socket.destroy());
    socket.once("data", (first: Buffer) => {
      socket.removeAllListeners("end");
      if (first[0] !== HANDSHAKE) {
        log.debug("TLS handshake failed: {reason}", { reason: "it does not speak TLS" });
        return void socket.destroy();
      }
      socket.unshift(first);
      this.#handshake(tls, socket);
    });
  }

  #handshake(server: TlsServer, socket: Socket): void {
    const source = sourceOf(socket.remoteAddress);
    const carrier = new TlsCarrier(socket, (work) => this.#pace.run(source, work));
    acceptTls(server, carrier, {
      onSecure: (tls) => this.#onSecure(tls, socket, carrier),
      onFailure: (error, tls) => {
        const { authorizationError: verdict } = tls;
        if (verdict) {
          const message = String(verdict);
          this.#folded.tell("info", "a client's certificate is refused: {message}", { message });
        } else log.debug("TLS handshake failed: {reason}", { reason: error.message });
        carrier.dismiss();
      },
    });
  }

  #onSecure(tls: TLSSocket, socket: Socket, carrier: TlsCarrier): void {
    const raw: unknown = tls.getPeerCertificate(false)?.raw;
    // Belt and braces: a TLS library that lets one through must not be the last word.
    if (!tls.authorized || !(raw instanceof Uint8Array)) return void socket.destroy();
    this.lobby.leave(socket);
    const stream = new TlsStream(tls, carrier);
    stream.on("error", () => {});
    const from = nameOf(socket);
    const serving = this.#serve(stream, raw, from)
      .catch((error) => {
        stream.destroy();
        const { code, message } = asSallyportError(error);
        const text = "client at {from} not served: {message}";
        this.#folded.tell("warn", text, { from, code, message });
      })
      .finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }

  async #serve(stream: TlsStream, certificate: Uint8Array, from: string): Promise<void> {
    const facts = readX509(certificate);
    const gatewayId = facts.subject.commonName ?? "";
    if (gatewayId === NOBODY) return dismiss(stream);
    const identity = identityIn(facts);
    if (this.#revocations.hasIdentity(identity)) {
      const text = "client at {from} not served: identity {identity} was revoked";
      this.#folded.tell("warn", text, { from, identity, about: identity });
      return dismiss(stream);
    }
    this.#streams.set(stream, identity);
    try {
      await this.#join(stream, { gatewayId, serial: facts.serial, from });
    } finally {
      this.#streams.delete(stream);
    }
  }

  /** Joins a client's stream to the gateway that it asks for. */
  async #join(
    stream: TlsStream,
    { gatewayId, serial, from }: { gatewayId: string; serial: string; from: string },
  ): Promise<void> {
    const channel = await openChannel(gatewayId, this.#registry);
    if (!channel) {
      const text = "client at {from} asks for gateway {gatewayId}, which is not connected";
      this.#folded.tell("info", text, { from, gatewayId, about: gatewayId, serial });
      return dismiss(stream);
    }
    const id = channel.name;
    log.info("channel {id} open: from {from} to gateway {gatewayId}", {
      id,
      from,
      gatewayId,
      serial,
    });
    const started = performance.now();
    try {
      const { aToB: bytesIn, bToA: bytesOut } = await pipe(stream, channel);
      const ms = Math.round(performance.now() - started);
      const counts = { id, bytesIn, bytesOut, ms };
      log.info("channel {id} closed: {bytesIn} bytes in, {bytesOut} out, {ms} ms", counts);
    } catch (error) {
      const { message } = asSallyportError(error);
      log.info("channel {id} broke: {message}", { id, message });
    }
  }
}

/** Who opened a stream: our own platform writes it into the certificate, Infisical's does not. */
function identityIn({ extensions }: X509Facts): string | undefined {
  try {
    const { id } = JSON.parse(String(extensions.get(OID.actor) ?? "{}")) as { id?: unknown };
    return typeof id === "string" ? id : undefined;
  } catch {
    return undefined;
  }
}

/** With the port, by which a client can be told from others behind its address. */
function nameOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return formatAddress({ host: plainAddress(remoteAddress), port: remotePort });
}

/** A clean end: close_notify, and the connection goes as soon as that is on its way. */
function dismiss(stream: TlsStream): void {
  stream.end(() => stream.destroy());
}

/** When a newer session replaces the one that was asked, the channel goes through that. */
async function openChannel(gatewayId: string, registry: Registry): Promise<Channel | undefined> {
  const session = registry.get(gatewayId);
  if (!session) return undefined;
  try {
    return await session.open(AbortSignal.timeout(OPEN_WITHIN));
  } catch (error) {
    const newer = registry.get(gatewayId);
    if (!newer || newer === session) throw error;
    return await openChannel(gatewayId, registry);
  }
}
