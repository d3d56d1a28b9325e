/** A TCP forwarder between a client and a server, that can stop passing bytes without closing. */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Forwarder {
  port: number;
  /** From now on nothing passes, and neither side is told: what a cut cable does. */
  cut(): void;
  /** Resets every connection and lets new ones pass. */
  reset(): void;
  /** What passed, by direction, as it stood on the wire. */
  readonly tapped: { toServer: Buffer[]; toClient: Buffer[] };
  close(): Promise<void>;
}

export async function forwarder(
  target: { host: string; port: number },
  { tap = false, host = "127.0.0.1" } = {},
): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const tapped: Forwarder["tapped"] = { toServer: [], toClient: [] };
  let dead = false;
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ ...target, noDelay: true, allowHalfOpen: true });
    for (
      const [from, to, kept] of [
        [near, far, tapped.toServer],
        [far, near, tapped.toClient],
      ] as const
    ) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => {
        if (dead) return;
        if (tap) kept.push(chunk);
        if (!to.write(chunk)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
      });
      from.on("end", () => dead || to.end());
      from.on("error", () => dead || to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (!dead) to.destroy();
      });
    }
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => dead = true,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
      dead = false;
    },
    tapped,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
