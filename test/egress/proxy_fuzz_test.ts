/** Proxies that answer anything: the dialer goes through them, goes without them, and never waits. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import * as fc from "fast-check";
import { dialer } from "../../src/egress/dial.ts";
import { proxiedDialer } from "../../src/egress/proxy.ts";
import { fuzz } from "../fuzz.ts";

const DIRECT = "served directly";

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.42.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A proxy that plays the answers of one case, a chunk for each chunk that it hears, and hangs up. */
async function babbler() {
  let chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const left = [...chunks];
    sockets.add(socket);
    socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    socket.on("data", () => {
      const next = left.shift() ?? Buffer.alloc(0);
      if (left.length === 0) socket.end(next);
      else socket.write(next);
    });
  });
  const port = await listen(server);
  return {
    port,
    sockets,
    says: (answers: Uint8Array[]) => chunks = answers.map((answer) => Buffer.from(answer)),
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

async function target() {
  const server = createServer((socket) => void socket.on("error", () => {}).end(DIRECT));
  const port = await listen(server);
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

/** Everything that comes, until the other side ends. */
async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(socket, "end");
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  return Buffer.concat(chunks).toString("latin1");
}

const text = (words: string) => Buffer.from(words, "latin1");
const bytes = fc.uint8Array({ maxLength: 40 });

/** Dials once through a proxy that says `answers`; gives what came over the connection. */
async function dialThrough(scheme: string, cases: fc.Arbitrary<Uint8Array[]>, check: Check) {
  await using proxy = await babbler();
  await using there = await target();
  const dial = proxiedDialer(dialer("relay-unreachable", "relay"), {
    ALL_PROXY: `${scheme}://127.0.42.1:${proxy.port}`,
  });
  await fc.assert(
    fc.asyncProperty(cases, async (answers) => {
      proxy.says(answers);
      const started = performance.now();
      check(answers, await heard(await dial("127.0.42.1", there.port, { timeout: 5_000 })));
      assert.ok(performance.now() - started < 4_000, "it waited for a proxy that has hung up");
    }),
    fuzz(120, 7),
  );
  while (proxy.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
}

type Check = (answers: Uint8Array[], heard: string) => void;

Deno.test("whatever a proxy answers to CONNECT, what follows its consent comes over, or it is passed by", async () => {
  const head = fc.constantFrom(
    "HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
    "HTTP/1.0 204\r\n\r\n",
    "HTTP/1.1 407 No\r\n\r\n",
    "HTTP/1.1 20\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "\r\n\r\n",
    "x".repeat(20_000),
  ).map(text);
  const cases = fc.tuple(fc.oneof(head, bytes), bytes)
    .map(([first, rest]) => [Buffer.concat([first, rest])]);
  await dialThrough("http", cases, ([answer], got) => {
    const whole = Buffer.from(answer!).toString("latin1");
    const end = whole.indexOf("\r\n\r\n");
    const consent = end >= 0 && end <= 16 * 1024 && /^HTTP\/1\.[01] 2\d\d/.test(whole);
    assert.equal(got, consent ? whole.slice(end + 4) : DIRECT);
  });
});

Deno.test("whatever a SOCKS5 proxy answers, what follows its consent comes over, or it is passed by", async () => {
  const consent = { weight: 6, arbitrary: fc.constant([5, 0]) };
  const method = fc.oneof(consent, fc.constantFrom([5, 2], [5, 255], [4, 0], [5]), bytes);
  const grant = fc.oneof(
    fc.constantFrom(
      [5, 0, 0, 1, 127, 0, 0, 1, 0, 80],
      [5, 0, 0, 3, 1, 97, 0, 80],
      [5, 0, 0, 3, 255, 97],
      [5, 0, 0, 4, ...Array.from({ length: 16 }, () => 0), 0, 80],
      [5, 1, 0, 1, 0, 0, 0, 0, 0, 0],
      [5, 0, 0, 9, 0, 0, 0, 0, 0, 0],
    ),
    bytes,
  );
  const cases = fc.tuple(method, grant, bytes).map(([first, second, rest]) => {
    const [greeting, answer] = [Buffer.from(first), Buffer.concat([Buffer.from(second), rest])];
    // After any other greeting it would wait for more, or nothing more would be asked.
    return greeting.equals(Buffer.of(5, 0)) ? [greeting, answer] : [greeting];
  });
  let through = 0;
  await dialThrough("socks5", cases, ([, second], got) => {
    if (got === DIRECT) return;
    through++;
    assert.ok(
      Buffer.from(second ?? []).toString("latin1").endsWith(got),
      "bytes were lost or made up",
    );
  });
  assert.ok(through > 5, "no case got through");
});
