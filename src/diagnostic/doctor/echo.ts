/** A target of doctor's own: whatever comes in goes back. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

const HOST = "127.0.0.1";

/** Where it listens. */
export interface Echo extends AsyncDisposable {
  host: string;
  port: number;
}

/** Listens on a free loopback port until disposed. */
export async function startEcho(): Promise<Echo> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    socket.pipe(socket);
  });
  server.listen(0, HOST);
  await once(server, "listening");
  return {
    host: HOST,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
