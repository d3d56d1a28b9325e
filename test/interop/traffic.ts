/** Bytes that are hard to mistake: every connection has its own, and both ends hash what they see. */
import type { Buffer } from "node:buffer";
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startConnect } from "../../src/client/connect.ts";
import type { ConnectionGrant } from "../../src/client/stream.ts";

const BLOCK = 64 * 1024;

/** What one end saw. */
export interface Seen {
  size: number;
  hash: string;
}

/** Sends `size` bytes that depend on `seed`, as fast as the other side takes them, and half-closes. */
export async function send(socket: Socket, size: number, seed: string): Promise<Seen> {
  const key = createHash("sha256").update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, new Uint8Array(16));
  const zeros = new Uint8Array(BLOCK);
  const hash = createHash("sha256");
  for (let left = size; left > 0; left -= BLOCK) {
    const chunk = cipher.update(zeros.subarray(0, Math.min(left, BLOCK)));
    hash.update(chunk);
    if (!socket.write(chunk)) await once(socket, "drain");
  }
  socket.end();
  return { size, hash: hash.digest("hex") };
}

/** Takes everything until the other side's end. Rejects if it closes without one. */
export function receive(socket: Socket): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    let size = 0;
    socket.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      size += chunk.length;
    });
    socket.once("end", () => resolve({ size, hash: hash.digest("hex") }));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed without an end")));
  });
}

export interface Target extends AsyncDisposable {
  port: number;
}

/** A TCP target; `serve` has the connection until it closes. */
export async function startTarget(
  host: string,
  serve: (socket: Socket) => unknown,
): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    serve(socket);
  }).listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** `sallyport connect`, and connections to its port. */
export async function openPort(
  grant: () => Promise<ConnectionGrant>,
): Promise<AsyncDisposable & { port: number; dial(): Promise<Socket> }> {
  const stop = new AbortController();
  const { address: { port }, finished } = await startConnect({
    listen: { host: "127.0.0.1", port: 0 },
    grant,
  }, stop.signal);
  return {
    port,
    async dial() {
      const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
      await once(socket, "connect");
      return socket;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}
