/**
 * From a channel to a verified stream: the gateway's TLS server (protocol.md, "Inside the channel").
 * TLS 1.2 or newer, a client certificate of the platform's authority is demanded.
 *
 * The server must be `tls.createServer`: a TLSSocket made by hand accepts certificates of foreign
 * authorities, on Deno and on Node (protocol.md, "Trap").
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { SallyportError } from "../errors.ts";
import { ALPN } from "./route.ts";
import { acceptTls, TlsCarrier } from "../tls/carrier.ts";
import { TlsStream } from "../tls/stream.ts";

/** Time for a handshake, ms; as at the relay's own TLS port (protocol.md, "TLS 8443"). */
export const HANDSHAKE_TIMEOUT = 5_000;
/**
 * Handshakes at a time. The relay opens channels as it likes and need not have anybody at the other end;
 * an honest client is through within a moment.
 */
export const MAX_HANDSHAKES = 256;

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
  /** ms @default 5,000 */
  handshakeTimeout?: number;
  /** Handshakes at a time; for one more, the one that has lasted longest fails. @default 256 */
  maxHandshakes?: number;
}

/** A stream whose other end has proved to be the platform's client. */
export interface VerifiedStream {
  /** `end()` half-closes; what arrives is plaintext. */
  stream: TlsStream;
  alpn: string;
  /** The client's certificate, DER. */
  certificate: Buffer;
}

/** Turns channels into verified streams. Owns no connection. */
export class MtlsAcceptor {
  readonly #server: Server;
  readonly #timeout: number;
  readonly #most: number;
  /** Handshakes that go on, in the order in which they began, each by what makes it fail. */
  readonly #going = new Set<(error: Error) => void>();

  /** Throws `key-malformed` if key and certificate do not fit together. */
  constructor(options: MtlsOptions) {
    try {
      checkPair(options);
      this.#server = createServer(
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
    this.#timeout = options.handshakeTimeout ?? HANDSHAKE_TIMEOUT;
    this.#most = options.maxHandshakes ?? MAX_HANDSHAKES;
  }

  /**
   * Performs the handshake on a channel. Rejects with `mtls-handshake`; the channel is destroyed then.
   */
  async accept(channel: Duplex, signal?: AbortSignal): Promise<VerifiedStream> {
    const carrier = new TlsCarrier(channel);
    try {
      return await this.#handshake(carrier, signal);
    } catch (error) {
      carrier.dismiss();
      throw asHandshakeError(error);
    }
  }

  #enter(fail: (error: Error) => void): void {
    this.#going.add(fail);
    if (this.#going.size <= this.#most) return;
    const [longest] = this.#going;
    longest!(new Error(`${this.#most} others came after it and have not ended theirs either`));
  }

  #handshake(carrier: TlsCarrier, signal?: AbortSignal): Promise<VerifiedStream> {
    const { duplex: channel } = carrier;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(new Error("it took too long")), this.#timeout);
      const gone = () => fail(new Error("the channel was closed"));
      const aborted = () => fail(new Error("the gateway is stopping"));
      const settle = () => {
        clearTimeout(timer);
        this.#going.delete(fail);
        channel.off("close", gone);
        signal?.removeEventListener("abort", aborted);
      };
      const fail = (error: Error) => {
        settle();
        reject(error);
      };
      channel.once("close", gone);
      signal?.addEventListener("abort", aborted, { once: true });
      if (signal?.aborted) return aborted();
      if (channel.destroyed) return gone();
      this.#enter(fail);
      acceptTls(this.#server, carrier, {
        onSecure: (tls) => {
          settle();
          try {
            resolve(verified(tls, carrier));
          } catch (error) {
            reject(error);
          }
        },
        onFailure: (error, tls) => fail(tls.authorizationError ? new Error(REFUSED) : error),
      });
    });
  }
}

/** Deno's TLS would find out at the first handshake only. */
function checkPair({ serverCertificate, serverPrivateKey }: MtlsOptions): void {
  const [inCertificate, inKey] = [
    new X509Certificate(serverCertificate).publicKey,
    createPublicKey(createPrivateKey(serverPrivateKey)),
  ].map((key) => key.export({ type: "spki", format: "der" }));
  if (!inCertificate!.equals(inKey!)) throw new Error("they are of two different pairs");
}

function verified(tls: TLSSocket, carrier: TlsCarrier): VerifiedStream {
  const certificate: unknown = tls.getPeerCertificate(false)?.raw;
  // Belt and braces: a TLS library that lets one through must not be the last word.
  if (!tls.authorized || !(certificate instanceof Uint8Array)) {
    tls.destroy();
    throw new Error("no client certificate of the platform's authority was shown");
  }
  return {
    stream: new TlsStream(tls, carrier),
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
