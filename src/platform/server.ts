/**
 * The HTTP(S) server under the platform's API. What strangers may take up is limited before a request
 * is looked at: connections, time, headers, body.
 */
import { once } from "node:events";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import { FoldedLog } from "../folding.ts";
import { listen, type ListenAddress } from "../listen.ts";
import { logger } from "../log.ts";
import { affordableConnections, tellShortage } from "../open_files.ts";
import { exchange, type Handler, refuse } from "./exchange.ts";
import { type GuestLimits, Guests } from "./guests.ts";

const log = logger("platform");

/** The flag that decides where the platform listens. */
const SETTING = "--listen";

/** Requests that may wait for their answers on one connection: hardly anybody sends a second one early. */
const MOST_UNANSWERED = 8;

/** What strangers may take up. */
export interface ServerLimits extends GuestLimits {
  /** Time for a TLS handshake, ms. */
  handshakeTimeout: number;
  /** Time for the headers of a request, from the connection's begin or the headers' first byte, ms. */
  headersTimeout: number;
  /** Time for a whole request, ms. */
  requestTimeout: number;
  /** A connection without a request is kept for this long, ms. */
  idleTimeout: number;
  /** A connection with a request, or a part of one, on which nothing moves is closed after this, ms. */
  stallTimeout: number;
  /** Largest headers, bytes. */
  headers: number;
  /** Largest body, bytes; the largest useful one is under 2 KiB. */
  body: number;
}

/** All that all connections together can have sent and not been answered for is 24 MiB. */
export const DEFAULT_LIMITS: ServerLimits = {
  connections: 1024,
  connectionsPerAddress: 256,
  handshakeTimeout: 5_000,
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  idleTimeout: 15_000,
  stallTimeout: 30_000,
  headers: 8 * 1024,
  body: 16 * 1024,
};

/** What is served, and where. */
export interface ApiServerOptions {
  listen: ListenAddress;
  /** PEM; without it plain http is served. */
  tls?: { cert: string; key: string };
  limits?: Partial<ServerLimits>;
  handler: Handler;
}

/** A server that is listening. */
export interface ApiServer {
  address: ListenAddress;
  /** Resolves when it has stopped, because its signal was aborted; what was asked is answered first. */
  finished: Promise<void>;
}

/** Serves until `signal` aborts. Rejects with `port-in-use` or `listen`. */
export async function serveApi(
  options: ApiServerOptions,
  signal: AbortSignal,
): Promise<ApiServer> {
  const { handler } = options;
  const limits = affordable({ ...DEFAULT_LIMITS, ...options.limits });
  const folded = new FoldedLog(log, Date.now);
  const guests = new Guests(limits, (peer) => {
    folded.tell("warn", "too many connections: the oldest of {peer} is closed", { peer });
  });
  const answering = new Set<Promise<void>>();
  const unanswered = new WeakMap<Socket, number>();
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { socket } = incoming;
    const asked = unanswered.get(socket) ?? 0;
    if (asked >= MOST_UNANSWERED) return void socket.destroy();
    unanswered.set(socket, asked + 1);
    const work = exchange(incoming, outgoing, { most: limits.body, guests, handler })
      .finally(() => {
        answering.delete(work);
        unanswered.set(socket, unanswered.get(socket)! - 1);
      });
    answering.add(work);
  };
  const { server, address } = await open(options, limits, (server) => {
    server.on("connection", (socket: Socket) => guests.admit(socket));
    server.on("request", onRequest);
    server.on("clientError", refuse);
    // Nothing can be said to who has not finished a handshake.
    server.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
    server.on("timeout", (socket: Socket) => socket.destroy());
  });
  const stop = async () => {
    const closed = once(server, "close");
    server.close();
    guests.dismiss();
    while (answering.size > 0) await Promise.all(answering);
    server.closeAllConnections();
    await closed;
  };
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  if (signal.aborted) resolve();
  return { address, finished: aborted.then(stop) };
}

/** Where fewer files may be open than connections are granted, fewer are. */
function affordable(limits: ServerLimits): ServerLimits {
  const connections = Math.max(1, affordableConnections(limits.connections));
  if (connections < limits.connections) {
    tellShortage("connections", connections, limits.connections);
  }
  return { ...limits, connections };
}

async function open(
  { listen: asked, tls }: ApiServerOptions,
  limits: ServerLimits,
  prepare: (server: Server) => void,
): Promise<{ server: Server; address: ListenAddress }> {
  const timing = {
    headersTimeout: limits.headersTimeout,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.idleTimeout,
    maxHeaderSize: limits.headers,
    // How punctually the times above are kept.
    connectionsCheckingInterval: Math.min(1_000, limits.headersTimeout / 2),
  };
  const server = tls
    ? createHttpsServer({ ...timing, ...tls, handshakeTimeout: limits.handshakeTimeout })
    : createHttpServer(timing);
  server.timeout = limits.stallTimeout;
  prepare(server);
  return { server, address: await listen(server, asked, SETTING) };
}
