/**
 * From a channel to a verified stream: the gateway's TLS server (protocol.md, "Inside the channel").
 * TLS 1.2 or newer, a client certificate of the platform's authority is demanded.
 *
 * The server must be `tls.createServer`: a TLSSocket made by hand accepts certificates of foreign
 * authorities, on Deno and on Node (protocol.md, "Trap").
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { SallyportError } from "../errors.ts";
import { type Hop, HopMaker } from "./hop.ts";
import { ALPN } from "./route.ts";
import { TlsStream } from "./tls_stream.ts";

/** Time for a handshake, ms. */
export const HANDSHAKE_TIMEOUT = 10_000;

/** How long a refused client may take to hear why, ms. */
const LINGER = 1_000;
/** Deno has one verdict for all of these, and shows no certificate that it has refused. */
const REFUSED = "client certificate refused: it is missing, not of the platform's authority, " +
  "expired, not valid yet, or not for clients";

/** Keys of the gateway's side, PEM. */
export interface MtlsOptions {
  serverCertificate: string;
  serverPrivateKey: string;
  /** The authority of client certificates, then its root. */
  clientCertificateChain: string;
  /** @default the four modes' protocols */
  alpn?: string[];
  /** ms @default 10,000 */
  handshakeTimeout?: number;
}

/** A stream whose other end has proved to be the platform's client. */
export interface VerifiedStream {
  /** `end()` half-closes; what arrives is plaintext. */
  stream: TlsStream;
  alpn: string;
  /** The client's certificate, DER. */
  certificate: Buffer;
}

type FailedStream = TLSSocket & { _parent?: Socket };

interface Handshake {
  succeed(socket: TLSSocket): void;
  reject(error: Error): void;
}

/** Turns channels into verified streams. Owns its listeners; streams outlive it. */
export class MtlsAcceptor {
  readonly #server: Server;
  readonly #hops: HopMaker;
  readonly #timeout: number;
  /** Handshakes under way, by the port of the hop that they run on. */
  readonly #handshakes = new Map<number, Handshake>();

  private constructor(server: Server, hops: HopMaker, timeout: number) {
    this.#server = server;
    this.#hops = hops;
    this.#timeout = timeout;
    server.on("secureConnection", (stream: TLSSocket) => {
      const handshake = this.#handshakes.get(stream.remotePort ?? 0);
      if (handshake) handshake.succeed(stream);
      else stream.destroy();
    });
    server.on("tlsClientError", (error: Error, stream: FailedStream) => {
      // A failed TLSSocket no longer knows its port, but the socket under it does. If a runtime stops
      // telling it, the handshake still fails (its socket closes), only without this reason.
      const port = stream._parent?.remotePort;
      const reason = stream.authorizationError ? new Error(REFUSED) : error;
      if (port !== undefined) this.#handshakes.get(port)?.reject(reason);
    });
  }

  /** Throws `key-malformed` if key and certificate do not fit together. */
  static async open(options: MtlsOptions): Promise<MtlsAcceptor> {
    let server: Server;
    try {
      checkPair(options);
      server = createServer(
        {
          cert: options.serverCertificate,
          key: options.serverPrivateKey,
          ca: options.clientCertificateChain,
          requestCert: true,
          rejectUnauthorized: true,
          minVersion: "TLSv1.2",
          ALPNProtocols: options.alpn ?? Object.keys(ALPN),
          allowHalfOpen: true,
        } as Parameters<typeof createServer>[0],
      );
    } catch (error) {
      throw new SallyportError(
        "key-malformed",
        "the gateway's TLS certificate and key do not fit",
        {
          cause: error,
        },
      );
    }
    const hops = await HopMaker.open();
    return new MtlsAcceptor(server, hops, options.handshakeTimeout ?? HANDSHAKE_TIMEOUT);
  }

  /**
   * Performs the handshake on a channel. Rejects with `mtls-handshake`; the channel is destroyed then.
   */
  async accept(channel: Duplex, signal?: AbortSignal): Promise<VerifiedStream> {
    let hop: Hop;
    try {
      hop = await this.#hops.join(channel);
    } catch (error) {
      channel.destroy();
      throw error;
    }
    try {
      return await this.#handshake(hop, channel, signal);
    } catch (error) {
      endRefused(hop, channel);
      throw asHandshakeError(error);
    }
  }

  /** Ends the listener; no new handshake begins. */
  close(): void {
    this.#hops.close();
    this.#server.removeAllListeners("connection");
  }

  #handshake(hop: Hop, channel: Duplex, signal?: AbortSignal): Promise<VerifiedStream> {
    const { socket } = hop;
    return new Promise((resolve, reject) => {
      const port = socket.remotePort!;
      const timer = setTimeout(() => fail(new Error("it took too long")), this.#timeout);
      const gone = () => fail(new Error("the channel was closed"));
      // A refusal closes the socket first and is told right after.
      const socketGone = () => void setImmediate(gone);
      const aborted = () => fail(new Error("the gateway is stopping"));
      const settle = () => {
        clearTimeout(timer);
        this.#handshakes.delete(port);
        channel.off("close", gone);
        socket.off("close", socketGone);
        signal?.removeEventListener("abort", aborted);
      };
      const fail = (error: Error) => {
        settle();
        reject(error);
      };
      this.#handshakes.set(port, {
        succeed: (tls) => {
          settle();
          try {
            resolve(verified(tls, hop));
          } catch (error) {
            reject(error);
          }
        },
        reject: fail,
      });
      channel.once("close", gone);
      socket.once("close", socketGone);
      signal?.addEventListener("abort", aborted, { once: true });
      if (signal?.aborted) return aborted();
      if (channel.destroyed || socket.destroyed) return gone();
      this.#server.emit("connection", socket);
    });
  }
}

/** The alert that names the reason is still on its way through the hop. */
function endRefused({ socket }: Hop, channel: Duplex): void {
  socket.end();
  socket.destroy();
  const timer = setTimeout(() => channel.destroy(), LINGER);
  channel.once("close", () => clearTimeout(timer));
  if (channel.destroyed) clearTimeout(timer);
}

/** Deno's TLS would find out at the first handshake only. */
function checkPair({ serverCertificate, serverPrivateKey }: MtlsOptions): void {
  const [inCertificate, inKey] = [
    new X509Certificate(serverCertificate).publicKey,
    createPublicKey(createPrivateKey(serverPrivateKey)),
  ].map((key) => key.export({ type: "spki", format: "der" }));
  if (!inCertificate!.equals(inKey!)) throw new Error("they are of two different pairs");
}

function verified(tls: TLSSocket, { intake }: Hop): VerifiedStream {
  const certificate: unknown = tls.getPeerCertificate(false)?.raw;
  // Belt and braces: a TLS library that lets one through must not be the last word.
  if (!tls.authorized || !(certificate instanceof Uint8Array)) {
    tls.destroy();
    throw new Error("no client certificate of the platform's authority was shown");
  }
  return {
    stream: new TlsStream(tls, intake),
    alpn: tls.alpnProtocol || "",
    certificate: Buffer.from(certificate),
  };
}

function asHandshakeError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new SallyportError("mtls-handshake", `TLS handshake in a channel failed: ${reason}`, {
    cause: error,
  });
}
