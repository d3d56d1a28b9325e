/** Requests that turn their connection into something else (RFC 9110 §7.8), as WebSocket does. */
import { type Agent, type ClientRequest, type IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { asSallyportError } from "../errors.ts";
import { endToEnd, type Field, fieldsOf } from "./http_headers.ts";
import { errorText } from "./http_error.ts";
import type { RequestPlan } from "./http_plan.ts";
import { openRequest, type RequestEvents } from "./http_request.ts";
import { endWithPeer } from "./http_upstream.ts";
import { pipe } from "./pipe.ts";

/**
 * Whether a request is to be upgraded. One with a body is served as if it had not asked (RFC 9110
 * §7.8 allows that): nobody could tell its body from the new protocol. So is one that asks for
 * HTTP/2, which we do not speak.
 */
export function isUpgrade({ headers }: IncomingMessage): boolean {
  const body = headers["transfer-encoding"] !== undefined ||
    Number(headers["content-length"] ?? 0) > 0;
  return !body && headers.upgrade !== undefined && !/\bh2c?\b/i.test(headers.upgrade);
}

/**
 * Asks the target for the upgrade. If it agrees, joins both connections until they are over; if not,
 * passes its answer on and ends the stream. Rejects if the joined connections break.
 */
export async function forwardUpgrade(
  request: IncomingMessage,
  stream: Duplex,
  head: Uint8Array,
  plan: RequestPlan,
  agent: Agent,
  events: RequestEvents & { signal: AbortSignal },
): Promise<void> {
  const upstream = openRequest(plan, agent, [
    ["Connection", "Upgrade"],
    ["Upgrade", request.headers.upgrade ?? ""],
  ]);
  const giveUp = () => upstream.destroy();
  stream.once("close", giveUp);
  try {
    const outcome = await outcomeOf(upstream);
    if ("refusal" in outcome) return await passRefusal(outcome.refusal, request, stream);
    const { answer, socket, rest } = outcome;
    stream.off("close", giveUp);
    socket.off("end", endWithPeer);
    stream.write(switchingText(answer));
    if (head.length > 0) stream.unshift(head);
    if (rest.length > 0) socket.unshift(rest);
    const { aToB, bToA } = await pipe(stream, socket, { signal: events.signal });
    events.onBytesIn(aToB);
    events.onBytesOut(bToA);
  } catch (error) {
    const { message } = asSallyportError(error);
    events.onFailure(message);
    if (stream.destroyed) return;
    stream.end(errorText(`failed to reach target due to networking error: ${message}`));
    stream.resume();
  } finally {
    stream.off("close", giveUp);
  }
}

type Outcome =
  | { answer: IncomingMessage; socket: Duplex; rest: Uint8Array }
  | { refusal: IncomingMessage };

function outcomeOf(upstream: ClientRequest): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    upstream.on("upgrade", (answer, socket, rest) => resolve({ answer, socket, rest }));
    upstream.on("response", (refusal) => resolve({ refusal }));
    upstream.on("error", reject);
    upstream.on("close", () => reject(new Error("the target closed the connection")));
    upstream.end();
  });
}

/** Node's parser has let go of the stream for good, so this answer is its last. */
function passRefusal(
  refusal: IncomingMessage,
  request: IncomingMessage,
  stream: Duplex,
): Promise<void> {
  return new Promise((resolve) => {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.sendDate = false;
    // deno-lint-ignore no-explicit-any -- typed for sockets; any Duplex does.
    response.assignSocket(stream as any);
    response.writeHead(
      refusal.statusCode ?? 502,
      refusal.statusMessage,
      endToEnd(fieldsOf(refusal.rawHeaders)).flat(),
    );
    refusal.on("error", () => stream.destroy());
    stream.once("close", resolve);
    response.once("finish", () => {
      stream.end();
      // Input that is left unread would keep the stream open.
      stream.resume();
      resolve();
    });
    refusal.pipe(response);
  });
}

function switchingText(answer: IncomingMessage): string {
  const fields: Field[] = [
    ["Connection", "Upgrade"],
    ["Upgrade", answer.headers.upgrade ?? ""],
    ...endToEnd(fieldsOf(answer.rawHeaders)),
  ];
  const lines = fields.map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 101 ${answer.statusMessage}`, ...lines, "", ""].join("\r\n");
}
