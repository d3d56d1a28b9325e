/** A line on which every byte takes its time, in place of a network far away. */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** Bytes under way in one direction before the sender must wait: more than a window needs. */
const ON_THE_WAY = 32 * 1024 * 1024;

/** Forwards `from` to `to`; what comes is passed on `delay` ms later, ends too. */
export async function longLine(
  from: { host: string; port: number },
  to: { host: string; port: number },
  delay: number,
): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ ...to, allowHalfOpen: true, noDelay: true });
    for (const [a, b] of [[near, far], [far, near]] as const) {
      sockets.add(a);
      a.on("error", () => b.destroy()).on("close", () => sockets.delete(a));
      direct(a, b, delay);
    }
  }).listen(from);
  await once(server, "listening");
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function direct(from: Socket, to: Socket, delay: number): void {
  let underWay = 0;
  const later = (pass: () => void) => void setTimeout(() => to.destroyed || pass(), delay);
  from.on("data", (chunk: Buffer) => {
    underWay += chunk.length;
    if (underWay > ON_THE_WAY) from.pause();
    later(() =>
      to.write(chunk, () => {
        underWay -= chunk.length;
        if (underWay < ON_THE_WAY) from.resume();
      })
    );
  });
  from.on("end", () => later(() => to.end()));
}
