/**
 * One request of the API's server and its answer. Hono's own adapter (@hono/node-server) begins a
 * request before its body is there, which is what has to be limited here, and prints to the terminal.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { asSallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import { readBody } from "./body.ts";
import type { Guests } from "./guests.ts";
import { sourceOf } from "../source.ts";
import { errorBody } from "./refusal.ts";

const log = logger("platform");

/** A connection that has not taken its answer after this is no better than one that waits, ms. */
const PATIENCE = 1_000;

/** Answers a request whose body is there; `peer` is who is counted for it (`sourceOf`). */
export type Handler = (request: Request, peer: string) => Promise<Response>;

/** What an exchange takes. */
export interface ExchangeContext {
  /** Largest body, bytes. */
  most: number;
  guests: Guests;
  handler: Handler;
}

/** Reads a request, has it answered and sends the answer. Never rejects. */
export async function exchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { most, guests, handler }: ExchangeContext,
): Promise<void> {
  const { socket } = incoming;
  const peer = sourceOf(socket.remoteAddress ?? "");
  outgoing.on("error", () => {});
  try {
    const body = await readBody(incoming, most);
    if (!body) return await send(outgoing, refusal(413, `the body is longer than ${most} bytes`));
    const request = toRequest(incoming, body);
    if (!request) return await send(outgoing, refusal(400, "the request cannot be read"));
    guests.answers(socket);
    try {
      await send(outgoing, await handler(request, peer));
    } finally {
      guests.waits(socket);
    }
  } catch (error) {
    // A peer that is gone before its request was there hears nothing.
    if (socket.destroyed) return;
    log.error("a call failed: {message}", { message: asSallyportError(error).message });
    socket.destroy();
  }
}

/** What is wrong with a request that the parser gave up, as statuses (RFC 6585 §5, RFC 9110 §15.5.9). */
const FAULTS: Record<string, [status: number, message: string]> = {
  HPE_HEADER_OVERFLOW: [431, "the headers are too long"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "the request took too long"],
};

/** Whoever is refused may go on sending for this long, unheard, ms. */
const LINGER = 500;

const refused = new WeakSet<Socket>();

/**
 * Answers what is no request, as far as somebody listens, and closes its connection: in steps, since the
 * answer is lost where a peer that goes on sending has its connection reset (RFC 9112 §9.6).
 */
export function refuse({ code = "" }: { code?: string }, socket: Socket): void {
  if (refused.has(socket)) return;
  if (!socket.writable) return void socket.destroy();
  refused.add(socket);
  const [status, message] = FAULTS[code] ?? [400, "the request cannot be read"];
  const body = JSON.stringify(errorBody(status, message));
  const head = [
    `HTTP/1.1 ${status} ${message}`,
    "content-type: application/json",
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  const late = setTimeout(() => socket.destroy(), LINGER);
  socket.once("close", () => clearTimeout(late));
}

function refusal(status: number, message: string): Response {
  return Response.json(errorBody(status, message), { status });
}

/** Undefined if it is none that fetch's Request can be, such as TRACE. */
function toRequest(
  { method = "GET", url = "", rawHeaders }: IncomingMessage,
  body: Uint8Array<ArrayBuffer>,
): Request | undefined {
  const headers = new Headers();
  try {
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
    }
    // Whatever host it was asked under, and whether by a path or a whole URL, this is the one served.
    const path = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?#]*/i, "");
    const has = body.length > 0 && method !== "GET" && method !== "HEAD";
    return new Request(`http://localhost${path}`, { method, headers, ...(has && { body }) });
  } catch {
    return undefined;
  }
}

async function send(outgoing: ServerResponse, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  if (outgoing.destroyed) return;
  outgoing.writeHead(response.status, {
    ...Object.fromEntries(response.headers),
    "content-length": body.length,
  });
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const late = setTimeout(resolve, PATIENCE);
  outgoing.once("finish", resolve).once("close", resolve).end(body);
  await gone;
  clearTimeout(late);
}
