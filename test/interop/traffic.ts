/** Targets, and local ports that lead to them. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startConnect } from "../../src/client/connect.ts";
import type { ConnectionGrant } from "../../src/client/stream.ts";

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
