/** TLS streams as forward handlers get them, over real sockets on loopback; and small targets. */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { acceptTls, TlsCarrier } from "../../src/tls/carrier.ts";
import { TlsStream } from "../../src/tls/stream.ts";
import type { Route } from "../../src/channel/route.ts";
import { dial } from "../../src/egress/dial.ts";
import type { ForwardContext } from "../../src/forward/handler.ts";
import { certificate } from "./certificates.ts";

export const HOST = "127.0.20.1";

const identity = await certificate("localhost", { hosts: ["localhost"] });

export interface StreamPair {
  /** The platform's end. */
  client: TlsStream;
  /** The socket under the client's end. */
  socket: Socket;
  /** What a handler is given. */
  server: TlsStream;
  /** How the handler's side closed the network connection; Deno's TLS shows a reset as an end. */
  fate: Promise<"closed" | "reset">;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Two ends of one TLS connection. */
export async function streamPair(): Promise<StreamPair> {
  const tlsServer = createTlsServer(
    {
      cert: identity.certificate,
      key: identity.privateKey,
      allowHalfOpen: true,
    } as Parameters<typeof createTlsServer>[0],
  );
  const listener = createServer({ allowHalfOpen: true, noDelay: true });
  const fate = Promise.withResolvers<"closed" | "reset">();
  const inner = await listen(listener);
  const wire = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: HOST, port: inner, noDelay: true, allowHalfOpen: true });
    far.once("error", (error: Error & { code?: string }) => {
      if (error.code === "ECONNRESET") fate.resolve("reset");
    });
    far.once("close", () => {
      fate.resolve("closed");
      near.destroy();
    });
    near.on("error", () => far.resetAndDestroy());
    near.once("close", () => far.destroy());
    near.pipe(far);
    far.pipe(near);
  });
  const port = await listen(wire);
  const server = new Promise<TlsStream>((resolve, reject) => {
    listener.on("connection", (socket: Socket) => {
      const carrier = new TlsCarrier(socket);
      acceptTls(tlsServer, carrier, {
        onSecure: (tls) => resolve(new TlsStream(tls, carrier)),
        onFailure: reject,
      });
    });
  });
  const socket = connect({ host: HOST, port, noDelay: true, allowHalfOpen: true });
  await once(socket, "connect");
  const carrier = new TlsCarrier(socket);
  const tls = connectTls({
    socket: carrier as unknown as Socket,
    servername: "localhost",
    ca: identity.certificate,
    ...({ allowHalfOpen: true } as object),
  });
  const client = await new Promise<TlsStream>((resolve, reject) => {
    tls.once("error", reject);
    tls.once("secureConnect", () => resolve(new TlsStream(tls, carrier)));
  });
  // Tests look at what arrives; a break shows as a missing end.
  client.on("error", () => {});
  const pair = { client, socket, server: await server, fate: fate.promise };
  listener.close();
  wire.close();
  return {
    ...pair,
    async [Symbol.asyncDispose]() {
      for (const stream of [pair.client, pair.server]) {
        stream.on("error", () => {});
        stream.destroy();
      }
      await Promise.all([closed(pair.client), closed(pair.server)]);
    },
  };
}

/** Listens on a free port. */
export async function listen(server: Server, host = HOST): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

export interface Target {
  port: number;
  sockets: Set<Socket>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A TCP target. */
export async function tcpTarget(
  serve: (socket: Socket) => void,
  { allowHalfOpen = true } = {},
): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    serve(socket);
  });
  const port = await listen(server);
  return {
    port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

export function route(
  mode: Route["mode"],
  target?: { host: string; port: number },
  actor: Route["actor"] = { type: "platform" },
): Route {
  return { mode, alpn: `infisical-${mode}`, target, actor, serial: "01" };
}

export function context(overrides: Partial<ForwardContext> = {}): ForwardContext {
  return { dial, signal: new AbortController().signal, report: () => {}, ...overrides };
}

/** Everything until the end. Rejects if the stream closes without one. */
export async function text(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await ended(stream);
  return Buffer.concat(chunks).toString("latin1");
}

export function ended(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.readableEnded) return resolve();
    stream.once("end", resolve);
    stream.once("close", () => reject(new Error("closed without an end")));
    stream.once("error", reject);
  });
}

export async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", () => resolve()));
}

/** Resolves when `condition` holds, looked at whenever `stream` brings data. */
export async function until(stream: Duplex, condition: () => boolean): Promise<void> {
  while (!condition()) await once(stream, "data");
}

/** Sends `size` pseudo-random bytes, with backpressure, and ends. Gives their hash. */
export async function sendRandom(stream: Duplex, size: number): Promise<string> {
  const hash = createHash("sha256");
  const block = randomBlock();
  for (let sent = 0; sent < size; sent += block.length) {
    block.writeUInt32BE(sent, 0);
    const chunk = Buffer.from(block.subarray(0, Math.min(block.length, size - sent)));
    hash.update(chunk);
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
  return hash.digest("hex");
}

/** Hash and size of everything until the end. */
export async function receive(stream: Duplex): Promise<{ size: number; hash: string }> {
  const hash: Hash = createHash("sha256");
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    size += chunk.length;
  });
  await ended(stream);
  return { size, hash: hash.digest("hex") };
}

function randomBlock(): Buffer {
  const block = Buffer.alloc(64 * 1024);
  let state = 12345;
  for (let i = 0; i < block.length; i++) {
    state = Math.imul(state, 1103515245) + 12345 | 0;
    block[i] = state >>> 16;
  }
  return block;
}
