/** Reading a request's body, up to a limit. */
import type { IncomingMessage } from "node:http";

/** What is still read and thrown away of a body that is too long, bytes: many send it all, then listen. */
const THROWN_AWAY = 1024 * 1024;

/**
 * The whole body, or undefined if it is longer than `most` bytes, whether that was announced or not. Its
 * rest is not kept then, and the connection is closed if it is too much. Rejects if the peer is gone.
 */
export async function readBody(
  incoming: IncomingMessage,
  most: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = Number(incoming.headers["content-length"] ?? 0);
  if (length > most) return throwAway(incoming);
  length = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const take = (chunk: Uint8Array) => {
    length += chunk.length;
    if (length > most) resolve();
    else chunks.push(chunk);
  };
  incoming.on("data", take).once("end", resolve).once("error", reject)
    .once("close", () => reject(new Error("the peer is gone")));
  await promise;
  incoming.off("data", take);
  return length > most ? throwAway(incoming) : join(chunks, length);
}

function throwAway(incoming: IncomingMessage): undefined {
  let length = 0;
  incoming.on("error", () => {}).on("data", (chunk: Uint8Array) => {
    length += chunk.length;
    if (length > THROWN_AWAY) incoming.socket.destroy();
  });
}

function join(chunks: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
