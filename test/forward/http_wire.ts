/** An http stream with a raw client at its end, which shows every byte; and HTTP targets. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { forwardHttp } from "../../src/forward/http.ts";
import type { ForwardContext, ForwardResult } from "../../src/forward/handler.ts";
import type { Route } from "../../src/channel/route.ts";
import type { Identity } from "./certificates.ts";
import { closed, context, HOST, listen, type StreamPair, streamPair } from "./streams.ts";

/** A test that hangs tells where, ms. */
const PATIENCE = 8_000;
const HEAD_END = "\r\n\r\n";

/** One answer as it came. */
export interface Answer {
  status: number;
  reason: string;
  fields: [name: string, value: string][];
  body: Buffer;
  /** First value of a field, by its lower-case name. */
  header(name: string): string | undefined;
  /** What the body's JSON says in `message`. */
  message(): string;
}

/** Writes requests as given and reads answers one by one. */
export class RawClient {
  readonly stream: Duplex;
  #chunks: Buffer[] = [];
  #length = 0;
  #over = false;
  #wake = () => {};

  constructor(stream: Duplex) {
    this.stream = stream;
    const over = () => {
      this.#over = true;
      this.#wake();
    };
    stream.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    stream.on("end", over).on("close", over).on("error", over);
  }

  /** Resolves when the stream takes more. */
  async send(data: string | Uint8Array): Promise<void> {
    if (!this.stream.write(data)) await once(this.stream, "drain");
  }

  /** The next answer. Throws if the stream ends inside it. `HEAD` answers have no body. */
  async answer(method = "GET"): Promise<Answer> {
    const [first, ...lines] = (await this.head()).split("\r\n");
    const [, status, reason] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(first!) ?? [];
    if (status === undefined) throw new Error(`not a status line: ${first}`);
    const fields = lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    const header = (name: string) => fields.find(([field]) => field.toLowerCase() === name)?.[1];
    const bodiless = method === "HEAD" || /^(1..|204|304)$/.test(status);
    const body = bodiless ? Buffer.alloc(0) : await this.#body(header);
    const message = () => String(JSON.parse(body.toString()).message);
    return { status: Number(status), reason: reason!, fields, body, header, message };
  }

  /** A header section, without the empty line behind it. */
  async head(): Promise<string> {
    for (;;) {
      const end = this.#peek().indexOf(HEAD_END);
      if (end >= 0) return (await this.take(end + HEAD_END.length)).toString("latin1").slice(0, -4);
      await this.#more();
    }
  }

  /** Exactly so many bytes. */
  async take(count: number): Promise<Buffer> {
    while (this.#length < count) await this.#more();
    const all = this.#peek();
    this.#chunks = [all.subarray(count)];
    this.#length -= count;
    return all.subarray(0, count);
  }

  /** Everything that is left; also what came before a break. */
  async rest(): Promise<Buffer> {
    while (!this.#over) await this.#more();
    return await this.take(this.#length);
  }

  async #body(header: Answer["header"]): Promise<Buffer> {
    if (header("transfer-encoding") === "chunked") return await this.#chunked();
    const length = header("content-length");
    return length === undefined ? await this.rest() : await this.take(Number(length));
  }

  async #chunked(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      let size = "";
      while (!size.endsWith("\r\n")) size += (await this.take(1)).toString("latin1");
      const count = parseInt(size, 16);
      parts.push(await this.take(count));
      await this.take(2);
      if (count === 0) return Buffer.concat(parts);
    }
  }

  #peek(): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  async #more(): Promise<void> {
    if (this.#over) throw new Error(`the stream is over behind ${this.#length} bytes`);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nothing came")), PATIENCE);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

export interface HttpStream {
  client: RawClient;
  pair: StreamPair;
  result: Promise<ForwardResult>;
  stop: AbortController;
  /** Ends the client's half, waits for the other's end. */
  finish(): Promise<ForwardResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A stream that http mode serves, behind its CONFIG line. */
export async function httpStream(
  route: Route,
  { config = "CONFIG\n", ...overrides }:
    & Partial<ForwardContext>
    & { config?: string } = {},
): Promise<HttpStream> {
  const pair = await streamPair();
  const stop = new AbortController();
  const result = forwardHttp(pair.server, route, context({ signal: stop.signal, ...overrides }));
  result.catch(() => {});
  const client = new RawClient(pair.client);
  pair.client.write(config);
  return {
    client,
    pair,
    result,
    stop,
    async finish() {
      pair.client.end();
      await client.rest();
      return await result;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("the test is over"));
      await result.catch(() => {});
      await pair[Symbol.asyncDispose]();
    },
  };
}

export interface HttpTarget {
  port: number;
  /** Connections that were accepted so far. */
  readonly connections: number;
  sockets: Set<Socket>;
  server: Server;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An HTTP server; with `identity` one that speaks TLS. */
export async function httpTarget(
  serve: RequestListener,
  { identity, host = HOST }: { identity?: Identity; host?: string } = {},
): Promise<HttpTarget> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = identity
    ? createSecureServer({ cert: identity.certificate, key: identity.privateKey }, serve) as Server
    : createServer(serve);
  server.on(identity ? "secureConnection" : "connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await listen(server, host);
  return {
    port,
    get connections() {
      return connections;
    },
    sockets,
    server,
    async [Symbol.asyncDispose]() {
      const gone = once(server, "close");
      server.close();
      const open = [...sockets];
      for (const socket of open) socket.destroy();
      await Promise.all(open.map(closed));
      await gone;
    },
  };
}

/** A request as text; a body gets its length. */
export function get(path: string, ...lines: string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: gateway.example", ...lines, "", ""].join("\r\n");
}

export function post(path: string, body: string, ...lines: string[]): string {
  return [
    `POST ${path} HTTP/1.1`,
    "Host: gateway.example",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...lines,
    "",
    body,
  ].join("\r\n");
}

export function chunked(path: string, parts: string[], ...lines: string[]): string {
  const head = [`POST ${path} HTTP/1.1`, "Host: gateway.example", "Transfer-Encoding: chunked"];
  const body = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
  return [...head, ...lines, "", ""].join("\r\n") + body.join("") + "0\r\n\r\n";
}
