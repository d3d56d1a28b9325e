/** The two private services of the demonstration; they listen on loopback, behind the gateway. */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A service that is listening. */
export interface Target {
  port: number;
  close(): Promise<void>;
}

/** An HTTP service: `/` answers with the secret, POST `/echo` with its body. */
export function httpTarget(secret: string): Target {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      new URL(request.url).pathname === "/echo"
        ? new Response(request.body)
        : Response.json({ service: "payroll", secret }),
  );
  return { port: (server.addr as Deno.NetAddr).port, close: () => server.shutdown() };
}

/** A TCP service that reads to the end and then answers with what it has read, in capitals. */
export async function tcpTarget(): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    let heard = "";
    socket.on("data", (chunk: Buffer) => heard += chunk.toString("utf8"));
    socket.on("end", () => socket.end(heard.toUpperCase()));
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
