/** Sends one planned request to its target and the answer back, bodies streamed both ways. */
import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  request as sendRequest,
  type ServerResponse,
} from "node:http";
import { asSallyportError } from "../errors.ts";
import { endToEnd, type Field, fieldsOf } from "./http_headers.ts";
import { answerError } from "./http_error.ts";
import type { RequestPlan } from "./http_plan.ts";

/** Most bytes that a message's header section may have. */
export const MAX_HEADER_SIZE = 64 * 1024;

/** What one request reports while it goes through. */
export interface RequestEvents {
  /** Body bytes from the client to the target. */
  onBytesIn(count: number): void;
  /** Body bytes from the target to the client. */
  onBytesOut(count: number): void;
  /** The request could not be answered by its target. */
  onFailure(message: string): void;
}

/** Opens a request as planned; nothing of a body is sent yet. */
export function openRequest(plan: RequestPlan, agent: Agent, extra: Field[] = []): ClientRequest {
  return sendRequest({
    agent,
    host: plan.origin.host,
    port: plan.origin.port,
    method: plan.method,
    path: plan.path,
    headers: [...plan.fields, ...extra].flat(),
    maxHeaderSize: MAX_HEADER_SIZE,
  });
}

/** Resolves when the answer is written, or given up. Never rejects: failures are answered. */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  plan: RequestPlan,
  agent: Agent,
  events: RequestEvents,
): Promise<void> {
  return new Promise((resolve) => {
    let retried = false;
    let upstream: ClientRequest;
    let answer: IncomingMessage | undefined;
    // Told not to wait for a "100 Continue", a client may leave its body out: then nobody can say
    // whether what comes next is the body or a request, so the connection ends (RFC 9110 §10.1.1).
    let undecided = request.headers.expect !== undefined;

    const dropBody = () => {
      // What the client still sends of its body is read and dropped: the next request comes behind it.
      request.unpipe();
      request.resume();
    };
    const fail = (error: unknown) => {
      const { message } = asSallyportError(error);
      events.onFailure(message);
      dropBody();
      if (undecided) response.shouldKeepAlive = false;
      answerError(response, `failed to reach target due to networking error: ${message}`);
    };
    const send = () => {
      const sent = upstream = openRequest(plan, agent);
      sent.on("continue", () => {
        undecided = false;
        response.writeContinue();
      });
      sent.on("response", (received) => {
        answer = received;
        if (undecided) response.shouldKeepAlive = false;
        passAnswer(received, response, events, fail);
      });
      let reused = false;
      sent.once("socket", () => {
        // Deno by itself sends every request again that meets a closed connection, POST included.
        reused = sent.reusedSocket;
        sent.reusedSocket = false;
      });
      sent.on("error", (error: Error) => {
        // A target may answer early and close while the body still goes to it: the answer counts.
        if (answer?.complete) return dropBody();
        if (response.headersSent || response.destroyed) return void response.destroy();
        // The target may close a kept connection just when we use it again (RFC 9110 §9.2.2).
        if (reused && plan.repeatable && !retried) {
          retried = true;
          return send();
        }
        fail(error);
      });
      if (plan.repeatable) return void sent.end();
      request.pipe(sent);
      // The head goes out even if the body is a long time coming: the target may have something to say.
      sent.flushHeaders();
    };

    request.on("data", (chunk: Uint8Array) => events.onBytesIn(chunk.length));
    // A client that goes away in the middle of its body must not look to the target as if it was over.
    request.on("error", () => upstream.destroy());
    if (response.destroyed) return resolve();
    response.once("close", () => {
      if (!response.writableFinished) upstream.destroy();
      resolve();
    });
    send();
  });
}

function passAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  events: RequestEvents,
  fail: (error: unknown) => void,
): void {
  response.sendDate = false;
  try {
    const fields = endToEnd(fieldsOf(answer.rawHeaders));
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, fields.flat());
  } catch (error) {
    answer.destroy();
    return fail(error);
  }
  // Cut off here means cut off there: the client must not take a part for the whole.
  answer.on("error", () => response.destroy());
  answer.on("data", (chunk: Uint8Array) => events.onBytesOut(chunk.length));
  answer.pipe(response);
  // A body that is there already goes with the head; one that is a long time coming is not waited for.
  setImmediate(() => response.writableEnded || response.destroyed || response.flushHeaders());
}
