/** The requests of one http stream. Their syntax is node:http's business, on both sides. */
import {
  type Agent,
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import type { Route } from "../channel/route.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import type { ForwardContext, ForwardResult } from "./handler.ts";
import type { HttpConfig } from "./http_config.ts";
import { answerError, errorText } from "./http_error.ts";
import { hostHeader } from "./http_origin.ts";
import { planRequest, type RequestPlan } from "./http_plan.ts";
import { forwardRequest, MAX_HEADER_SIZE, type RequestEvents } from "./http_request.ts";
import { forwardUpgrade, isUpgrade } from "./http_upgrade.ts";
import { upstreamAgent } from "./http_upstream.ts";

/** How long a client may take to close after we have, ms. */
const LINGER = 5_000;

/** Owns the stream, from behind its CONFIG line on, and the connections to targets. */
export class HttpSession {
  /** Settles when the stream, and everything that it needed, is gone. */
  readonly finished: Promise<ForwardResult>;
  readonly #stream: Duplex;
  readonly #route: Route;
  readonly #config: HttpConfig;
  readonly #context: ForwardContext;
  readonly #result: ForwardResult = { bytesIn: 0, bytesOut: 0 };
  /** One for each origin that was asked for. */
  readonly #agents = new Map<string, Agent>();
  #serving = 0;
  #upgraded = false;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(stream: Duplex, route: Route, config: HttpConfig, context: ForwardContext) {
    this.#stream = stream;
    this.#route = route;
    this.#config = config;
    this.#context = context;
    context.meter?.(() => this.#result);
    this.finished = this.#untilClosed();
    stream.once("finish", () => this.#upgraded || this.#closeSoon());
    this.#createServer().emit("connection", stream);
    stream.resume();
  }

  /** A server that never listens: it is handed its one connection. */
  #createServer(): Server {
    const server: Server & { httpAllowHalfOpen?: boolean } = createServer({
      maxHeaderSize: MAX_HEADER_SIZE,
      // Uploads may take as long as they take.
      requestTimeout: 0,
      // Who opened the stream decides how long it stays.
      keepAliveTimeout: 0,
      ...({ shouldUpgradeCallback: isUpgrade } as object),
    });
    // A client may end its half behind its last request and still want the answer.
    server.httpAllowHalfOpen = true;
    // Deno ends the connections of a server that does not listen after one answer (its issue 35609).
    Object.defineProperty(server, "listening", { value: true });
    const onRequest = (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response);
    server.on("request", onRequest);
    // Whether the client is to go on is the target's decision, and passed on.
    server.on("checkContinue", onRequest);
    server.on("upgrade", (request: IncomingMessage, _stream: Duplex, head: Uint8Array) => {
      void this.#upgrade(request, head);
    });
    server.on("clientError", (error: Error & { code?: string }) => {
      const stream = this.#stream;
      if (!stream.writable) return void stream.destroy();
      const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
      stream.end(errorText("the request is malformed", status));
      stream.resume();
    });
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const events = this.#events(request);
    // Deno does not say so itself: a client that ends in the middle of its body has gone.
    const onEnd = () => request.complete || this.#stream.destroy();
    if (this.#stream.readableEnded) onEnd();
    else this.#stream.once("end", onEnd);
    this.#serving++;
    try {
      const plan = await this.#plan(request);
      await forwardRequest(request, response, plan, this.#agent(plan), events);
    } catch (error) {
      const { message } = asSallyportError(error);
      events.onFailure(message);
      request.resume();
      answerError(response, message);
    } finally {
      this.#stream.off("end", onEnd);
      this.#serving--;
    }
  }

  async #upgrade(request: IncomingMessage, head: Uint8Array): Promise<void> {
    const stream = this.#stream;
    const events = { ...this.#events(request), signal: this.#context.signal };
    this.#serving++;
    this.#upgraded = true;
    try {
      const plan = await this.#plan(request);
      await forwardUpgrade(request, stream, head, plan, this.#agent(plan), events);
    } catch (error) {
      const { message } = asSallyportError(error);
      events.onFailure(message);
      stream.end(errorText(message));
      stream.resume();
    } finally {
      this.#serving--;
      this.#closeSoon();
    }
  }

  #plan(request: IncomingMessage): Promise<RequestPlan> {
    const { kubernetes } = this.#context;
    return planRequest(request, { route: this.#route, config: this.#config, kubernetes });
  }

  #agent({ origin, config }: RequestPlan): Agent {
    const key = `${origin.secure} ${hostHeader(origin)} ${config === this.#config}`;
    let agent = this.#agents.get(key);
    if (!agent) {
      agent = upstreamAgent(origin, config, this.#context);
      this.#agents.set(key, agent);
    }
    return agent;
  }

  #events({ method }: IncomingMessage): RequestEvents {
    return {
      onBytesIn: (count) => this.#result.bytesIn += count,
      onBytesOut: (count) => this.#result.bytesOut += count,
      onFailure: (message) =>
        this.#context.report("http {method} failed: {message}", { method, message }),
    };
  }

  #closeSoon(): void {
    if (this.#stream.destroyed || this.#linger !== undefined) return;
    this.#linger = setTimeout(() => this.#stream.destroy(), LINGER);
  }

  #untilClosed(): Promise<ForwardResult> {
    const stream = this.#stream;
    const { signal } = this.#context;
    return new Promise((resolve, reject) => {
      const onAbort = () => stream.destroy();
      const onClose = () => {
        clearTimeout(this.#linger);
        signal.removeEventListener("abort", onAbort);
        for (const agent of this.#agents.values()) agent.destroy();
        this.#agents.clear();
        if (signal.aborted) return reject(signal.reason);
        const whole = stream.readableEnded && stream.writableFinished;
        if (whole || this.#serving === 0) return resolve(this.#result);
        reject(new SallyportError("ssh-closed", "the stream closed in the middle of a request"));
      };
      stream.once("close", onClose);
      signal.addEventListener("abort", onAbort, { once: true });
      if (stream.destroyed) onClose();
      else if (signal.aborted) onAbort();
    });
  }
}
