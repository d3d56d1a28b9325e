/** A client that speaks HTTP as badly as a test likes, on a real socket. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { within } from "../within.ts";

export interface RawOptions {
  /** Address to come from. */
  from?: string;
  tls?: boolean;
}

export class RawClient {
  readonly socket: Socket;
  /** Everything that came, so far. */
  received = "";
  readonly #closed = Promise.withResolvers<void>();
  readonly #watchers = new Set<() => void>();

  constructor(url: string, { from, tls = false }: RawOptions = {}) {
    const { hostname, port } = new URL(url);
    const where = { host: hostname, port: Number(port), localAddress: from };
    this.socket = tls ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Uint8Array) => {
      this.received += new TextDecoder().decode(chunk);
      for (const look of [...this.#watchers]) look();
    });
    this.socket.once("close", () => this.#closed.resolve());
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** Sends `text` byte by byte, one every `pause` ms, until the other side has enough. */
  async drip(text: string, pause: number): Promise<void> {
    for (const byte of text) {
      if (this.socket.destroyed) return;
      this.socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Resolves as soon as what has come fits. */
  has(pattern: RegExp): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (pattern.test(this.received)) resolve();
    };
    this.#watchers.add(look);
    look();
    return within(5_000, promise);
  }

  /** Resolves when the other side has closed, with all that came. */
  async end(time = 5_000): Promise<string> {
    await within(time, this.#closed.promise);
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** A request as text. */
export function requestText(
  method: string,
  path: string,
  headers: string[] = [],
  body = "",
): string {
  return [`${method} ${path} HTTP/1.1`, "host: x", ...headers, "", body].join("\r\n");
}

/** One whole request on a connection of its own: the status, headers in lower case, the body. */
export async function ask(
  url: string,
  request: string,
  options: RawOptions = {},
): Promise<{ status: number; headers: Map<string, string>; body: string }> {
  using client = new RawClient(url, options);
  client.send(request.replace("\r\n", "\r\nconnection: close\r\n"));
  const [head = "", body = ""] = (await client.end()).split("\r\n\r\n");
  const [line = "", ...lines] = head.split("\r\n");
  const headers = new Map(lines.map((one) => {
    const at = one.indexOf(":");
    return [one.slice(0, at).toLowerCase(), one.slice(at + 1).trim()];
  }));
  return { status: Number(line.split(" ")[1]), headers, body };
}
