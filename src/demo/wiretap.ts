/** A wire with somebody listening on it: a TCP forwarder that keeps what passes, and can be cut. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Most bytes of a recording that are kept. */
const KEPT = 32 * 1024 * 1024;

/** What somebody has overheard. */
export class Recording {
  readonly #chunks: Buffer[] = [];
  /** Bytes that passed. */
  bytes = 0;

  /** Notes a chunk. */
  hear(chunk: Uint8Array): void {
    if (this.bytes < KEPT) this.#chunks.push(Buffer.from(chunk));
    this.bytes += chunk.length;
  }

  /** Whether `text` was among what passed. */
  contains(text: string): boolean {
    return Buffer.concat(this.#chunks).includes(text);
  }
}

/** A tapped wire to one address. */
export interface Wiretap {
  port: number;
  recording: Recording;
  /** Resets every connection on the wire, as a failing network would. New ones pass. */
  cut(): void;
  close(): Promise<void>;
}

/** Listens on a free loopback port and passes everything on to `port`. */
export async function wiretap(port: number): Promise<Wiretap> {
  const recording = new Recording();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => recording.hear(chunk));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    recording,
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
