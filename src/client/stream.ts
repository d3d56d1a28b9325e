/**
 * The platform's side of a connection: TLS to the relay with one client certificate, inside it TLS to
 * the gateway with another (protocol.md, "TLS 8443" and "Inside the channel").
 */
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { TlsCarrier } from "../tls/carrier.ts";
import { TlsStream } from "../tls/stream.ts";
import { dialer } from "../egress/dial.ts";
import { SallyportError } from "../errors.ts";
import { formatAddress } from "../listen.ts";

/** Time for connecting, and then for both handshakes together, ms. */
const CONNECT_TIMEOUT = 20_000;

const dialRelay = dialer("relay-unreachable", "relay");

/** One TLS client's keys and whom it trusts, PEM. */
export interface TlsIdentity {
  clientCertificate: string;
  clientPrivateKey: string;
  serverCertificateChain: string;
}

/** Everything for reaching one target through one gateway; from the platform, valid for minutes. */
export interface ConnectionGrant {
  gatewayId: string;
  relay: TlsIdentity & {
    /** A name or an address, an IPv6 one also in brackets. */
    host: string;
    tlsPort: number;
  };
  gateway: TlsIdentity;
}

/** How a stream opener works. */
export interface StreamOpenerOptions {
  /** Time for connecting, and then for both handshakes together, ms. @default 20,000 */
  timeout?: number;
}

/** Opens streams to gateways. */
export class StreamOpener {
  readonly #timeout: number;

  constructor({ timeout = CONNECT_TIMEOUT }: StreamOpenerOptions = {}) {
    this.#timeout = timeout;
  }

  /**
   * A stream to the gateway, in the mode that `alpn` names. `end()` half-closes. Rejects with
   * `relay-unreachable`, `gateway-unreachable` (the relay does not have it), `mtls-handshake` (one of
   * the two is not trusted or does not trust us), `timeout`, or with the signal's reason.
   * @param onConnected is told our end of the connection to the relay, which the relay logs
   */
  async stream(
    grant: ConnectionGrant,
    alpn: string,
    signal?: AbortSignal,
    onConnected?: (from: string) => void,
  ): Promise<TlsStream> {
    const { gatewayId, relay } = grant;
    const socket = await dialRelay(relay.host, relay.tlsPort, { signal, timeout: this.#timeout });
    const { localAddress: host = "", localPort: port = 0 } = socket;
    onConnected?.(formatAddress({ host, port }));
    const late = new AbortController();
    const timer = setTimeout(() => {
      const message = `gateway ${gatewayId}: no TLS within ${this.#timeout} ms`;
      late.abort(new SallyportError("timeout", message));
    }, this.#timeout);
    const ends = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
    try {
      const outer = await this.#toRelay(socket, grant, ends);
      return await this.#toGateway(outer, grant, alpn, ends);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #toRelay(socket: Socket, { relay }: ConnectionGrant, signal: AbortSignal): Promise<TlsStream> {
    const host = relay.host.replace(/^\[(.*)\]$/, "$1");
    return handshake(signal, socket, {
      ...identity(relay),
      // RFC 6066 §3 has no IP addresses in server_name; the certificate is checked against the host.
      ...(isIP(host) ? { host } : { servername: host, host }),
    }).catch((error) => {
      throw untrusted(`relay ${relay.host}:${relay.tlsPort}`, error, signal);
    });
  }

  async #toGateway(
    outer: TlsStream,
    { gateway, gatewayId, relay }: ConnectionGrant,
    alpn: string,
    signal: AbortSignal,
  ): Promise<TlsStream> {
    // With TLS 1.3 the relay judges our certificate after our handshake is over.
    let refusal: Error | undefined;
    outer.on("error", (error) => refusal = error);
    try {
      return await handshake(signal, outer, {
        ...identity(gateway),
        // TLS 1.2 shows the client's certificate, which says who asks for which target, to the relay.
        minVersion: "TLSv1.3",
        servername: "localhost",
        ALPNProtocols: [alpn],
      });
    } catch (error) {
      if (refusal && !isClosing(refusal)) {
        throw untrusted(`relay ${relay.host}:${relay.tlsPort}`, refusal, signal);
      }
      if (isClosing(error) && !signal.aborted) throw notThere(gatewayId, relay, error);
      throw untrusted(`gateway ${gatewayId}`, error, signal);
    }
  }
}

function identity(keys: TlsIdentity): ConnectionOptions {
  return {
    cert: keys.clientCertificate,
    key: keys.clientPrivateKey,
    ca: keys.serverCertificateChain,
    minVersion: "TLSv1.2",
    ...({ allowHalfOpen: true } as object),
  };
}

/** Rejects with what TLS says, or the signal's reason. */
function handshake(
  signal: AbortSignal,
  duplex: Duplex,
  options: ConnectionOptions,
): Promise<TlsStream> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const carrier = new TlsCarrier(duplex);
    const tls: TLSSocket = connectTls({ ...options, socket: carrier as unknown as Socket });
    const fail = (reason: unknown) => {
      settle();
      tls.on("error", () => {});
      tls.destroy();
      reject(reason);
    };
    const closed = () => fail(new SallyportError("ssh-closed", "it closed the connection"));
    const aborted = () => fail(signal.reason);
    const settle = () => {
      tls.off("error", fail);
      tls.off("close", closed);
      signal.removeEventListener("abort", aborted);
    };
    tls.once("error", fail);
    tls.once("close", closed);
    signal.addEventListener("abort", aborted, { once: true });
    tls.once("secureConnect", () => {
      settle();
      resolve(new TlsStream(tls, carrier));
    });
  });
}

/** True of errors that say no more than that the connection is over. */
function isClosing(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "ssh-closed" || code === "ECONNRESET" || code === "EPIPE";
}

function untrusted(where: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const text = error instanceof Error ? error.message : String(error);
  return new SallyportError("mtls-handshake", `TLS with ${where} failed: ${text}`, {
    cause: error,
  });
}

function notThere(
  gatewayId: string,
  { host, tlsPort }: ConnectionGrant["relay"],
  cause: unknown,
): SallyportError {
  return new SallyportError(
    "gateway-unreachable",
    `relay ${host}:${tlsPort} has no connection to gateway ${gatewayId}`,
    { hint: "start the gateway, or look into its log", cause },
  );
}
