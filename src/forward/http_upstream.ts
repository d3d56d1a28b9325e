/** Connections from one http stream to its targets, kept alive between requests. */
import { Agent } from "node:http";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { TlsCarrier } from "../tls/carrier.ts";
import { TlsStream } from "../tls/stream.ts";
import { SallyportError } from "../errors.ts";
import type { ForwardContext } from "./handler.ts";
import type { HttpConfig } from "./http_config.ts";
import type { Origin } from "./http_origin.ts";

/** Time for the TLS handshake with a target, ms. */
const HANDSHAKE_TIMEOUT = 10_000;

/** What connecting takes. */
export type UpstreamContext = Pick<ForwardContext, "dial" | "signal" | "connectTimeout">;

/**
 * An agent for one origin. One connection at a time: requests of one stream come one after the other.
 * TLS is done here and not by node:https, whose sockets buffer without limit on Deno (tls/stream.ts).
 */
export function upstreamAgent(origin: Origin, config: HttpConfig, context: UpstreamContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  agent.createConnection = (_options, callback) => {
    openConnection(origin, config, { ...context, signal }).then(
      (connection) => callback?.(null, connection),
      (error) => callback?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  };
  const destroy = agent.destroy.bind(agent);
  agent.destroy = () => {
    stop.abort(new SallyportError("aborted", "the http stream is over"));
    destroy();
  };
  return agent;
}

/** Ends our half when the target ends its own: an idle connection must not stay half open. */
export function endWithPeer(this: Duplex): void {
  this.end();
}

async function openConnection(
  origin: Origin,
  config: HttpConfig,
  { dial, signal, connectTimeout }: UpstreamContext,
): Promise<Duplex> {
  const socket = await dial(origin.host, origin.port, { signal, timeout: connectTimeout });
  const connection = origin.secure ? await secure(socket, origin, config, signal) : socket;
  connection.on("end", endWithPeer);
  return connection;
}

function secure(
  socket: Socket,
  { host, port }: Origin,
  { ca, verify }: HttpConfig,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const carrier = new AgentCarrier(socket);
    const tls = connectTls({
      socket: carrier as unknown as Socket,
      host,
      // RFC 6066 §3: server_name holds no addresses.
      ...(isIP(host) ? {} : { servername: host }),
      ca,
      rejectUnauthorized: verify,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      ...({ allowHalfOpen: true } as object),
    });
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      tls.off("error", fail).off("close", onClose);
    };
    const fail = (cause: unknown) => {
      settle();
      tls.on("error", () => {});
      tls.destroy();
      const why = cause instanceof Error ? cause.message : String(cause);
      reject(
        new SallyportError("target-unreachable", `TLS with target ${host}:${port}: ${why}`, {
          cause,
        }),
      );
    };
    const onAbort = () => fail(signal.reason);
    const onClose = () => fail(new Error("it closed the connection"));
    const timer = setTimeout(
      () => fail(new Error(`no handshake within ${HANDSHAKE_TIMEOUT} ms`)),
      HANDSHAKE_TIMEOUT,
    );
    signal.addEventListener("abort", onAbort, { once: true });
    tls.once("error", fail).once("close", onClose);
    tls.once("secureConnect", () => {
      settle();
      resolve(new AgentStream(tls, carrier, socket));
    });
  });
}

/** HTTP tells its messages' ends itself: an idle connection is closed, not reset. */
class AgentCarrier extends TlsCarrier {
  override reset(): void {
    this.duplex.destroy();
  }
}

/** A TlsStream with the socket methods that node's Agent calls on what it keeps. */
class AgentStream extends TlsStream {
  readonly #socket: Socket;

  constructor(tls: TLSSocket, carrier: TlsCarrier, socket: Socket) {
    super(tls, carrier);
    this.#socket = socket;
    socket.on("timeout", () => this.emit("timeout"));
  }

  setKeepAlive(enable?: boolean, delay?: number): this {
    this.#socket.setKeepAlive(enable, delay);
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(timeout: number): this {
    this.#socket.setTimeout(timeout);
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
