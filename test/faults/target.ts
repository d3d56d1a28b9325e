/**
 * A private service as a program: `target.ts <port>`. A connection begins with a line of JSON (`Order`);
 * then both sides send at the same time, and half-close. What this end saw is printed as a line of
 * JSON (`Report`).
 */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import process from "node:process";
import { receive, type Seen, send } from "../hashed_bytes.ts";

/** What a connection is to be. */
export interface Order {
  /** Names the stream, and decides its bytes. */
  id: string;
  /** Bytes toward the client. */
  down: number;
  /** ms between two blocks that are sent, at both ends. */
  pause?: number;
}

/** What an end of a stream saw. */
export interface Report {
  id: string;
  sent?: Seen;
  received?: Seen;
  /** Why there is no `sent` or no `received`: what broke the stream. */
  broken?: string;
}

/** Sends `size` bytes and receives at the same time; never rejects. */
export async function exchange(
  socket: Socket,
  { id, size, seed, pause }: { id: string; size: number; seed: string; pause?: number },
): Promise<Report> {
  const report: Report = { id };
  const note = (error: Error) => void (report.broken ??= error.message);
  await Promise.all([
    send(socket, size, seed, { pause }).then((sent) => report.sent = sent, note),
    receive(socket).then((received) => report.received = received, note),
  ]);
  return report;
}

/** The first line, and what came behind it put back. */
async function order(socket: Socket): Promise<Order> {
  let head = "";
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      await Promise.race([once(socket, "readable"), once(socket, "end")]);
      if (socket.readableEnded) throw new Error("ended before its order");
      continue;
    }
    const end = chunk.indexOf(10);
    if (end < 0) {
      head += chunk.toString("latin1");
      continue;
    }
    head += chunk.subarray(0, end).toString("latin1");
    if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
    return JSON.parse(head) as Order;
  }
}

async function serve(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  const { id, down, pause } = await order(socket);
  const report = await exchange(socket, { id, size: down, seed: `${id} down`, pause });
  console.log(JSON.stringify(report));
}

if (import.meta.main) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    serve(socket).catch((error) => console.error(String(error)));
  });
  server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("target ready"));
}
