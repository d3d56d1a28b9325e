/** A line of low bandwidth in front of a loopback port. */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface SlowLine {
  port: number;
  close(): Promise<void>;
}

/** Time between two pieces, ms. */
const TICK = 5;

export async function slowLine(target: number, bytesPerSecond: number): Promise<SlowLine> {
  const sockets = new Set<Socket>();
  const piece = Math.ceil(bytesPerSecond * TICK / 1000);
  const carry = async (from: Socket, to: Socket) => {
    sockets.add(from);
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      for (let at = 0; at < chunk.length; at += piece) {
        to.write((chunk as Buffer).subarray(at, at + piece));
        await new Promise((resolve) => setTimeout(resolve, TICK));
      }
    }
    to.end();
  };
  const running: Promise<void>[] = [];
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port: target, noDelay: true, allowHalfOpen: true });
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on("error", () => {});
      running.push(carry(from, to).catch(() => {}));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
      await Promise.all(running);
    },
  };
}
