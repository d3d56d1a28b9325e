/** What strangers try at the platform's API before they are anybody: connections, time, sizes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { generateKey, keyToPem } from "../../src/platform/keys.ts";
import { serveApi } from "../../src/platform/server.ts";
import { issueAuthority, issueLeaf, type Name } from "../../src/platform/x509_issue.ts";
import { until } from "../virtual_clock.ts";
import { platform } from "./fixture.ts";
import { ask, RawClient, requestText } from "./raw_client.ts";

const listen = { host: "127.0.73.1", port: 0 };
const LOGIN = "/api/v1/auth/universal-auth/login";
const JSON_TYPE = "content-type: application/json";

/** A certificate of nobody, for a server. */
async function tlsKeys(): Promise<{ cert: string; key: string }> {
  const key = await generateKey("ecdsa");
  const life = 60_000;
  const request = { subject: [["CN", "127.0.73.1"]] as Name, key, keyType: "ecdsa" } as const;
  const now = new Date();
  const certificate = await issueAuthority({ ...request, now });
  const authority = { key, keyType: "ecdsa", certificate } as const;
  const cert = await issueLeaf({ ...request, now, usage: "server", life }, authority);
  return { cert, key: keyToPem(key) };
}

const short = {
  handshakeTimeout: 300,
  headersTimeout: 300,
  requestTimeout: 1_200,
  idleTimeout: 300,
};

/** An honest client is served, in time. */
async function served(url: string, from?: string, tls = false): Promise<void> {
  const { status } = await ask(url, requestText("GET", "/api/status"), { from, tls });
  assert.equal(status, 200);
}

/** What a slow client does, how long it may go on (ms), and what it hears in the end. */
const SLOW: [what: string, work: (client: RawClient) => unknown, time: number, fits: RegExp][] = [
  ["says nothing", () => {}, 1_000, /^HTTP\/1\.1 408 |^$/],
  [
    "sends headers byte by byte",
    (client) => client.drip(requestText("GET", "/api/status", ["x-long: ".padEnd(400, "y")]), 10),
    1_000,
    /^HTTP\/1\.1 408 /,
  ],
  [
    "stops in the middle of a header",
    (client) => client.send("GET /api/status HTTP/1.1\r\nhost: x\r\nx-half: "),
    1_000,
    /^HTTP\/1\.1 408 [^]*\{"statusCode":408,"message":"[^"]+","error":"RequestTimeout"\}$/,
  ],
  [
    "sends a body byte by byte",
    (client) => {
      client.send(requestText("POST", LOGIN, [JSON_TYPE, "content-length: 500"]));
      return client.drip("x".repeat(500), 10);
    },
    2_500,
    /^HTTP\/1\.1 408 /,
  ],
  [
    "sends no more than half of a body",
    (client) => client.send(requestText("POST", LOGIN, [JSON_TYPE, "content-length: 9"], "half")),
    2_500,
    /^HTTP\/1\.1 408 /,
  ],
  [
    "sends chunks of one byte without an end",
    (client) => {
      client.send(requestText("POST", LOGIN, [JSON_TYPE, "transfer-encoding: chunked"]));
      return client.drip("1\r\nx\r\n".repeat(200), 5);
    },
    2_500,
    /^HTTP\/1\.1 408 /,
  ],
  [
    "keeps a connection that was answered, silent",
    (client) => client.send(requestText("GET", "/api/status")),
    2_500,
    /^HTTP\/1\.1 200 [^]*\}$/,
  ],
  [
    "keeps it with the begin of a second request",
    (client) => client.send(requestText("GET", "/api/status") + "GET /api/st"),
    1_000,
    /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 408 /,
  ],
];

for (const tls of [false, true]) {
  const how = tls ? "over TLS" : "in the clear";
  Deno.test(`a slow loris ${how} gains no more than the time for a request`, async () => {
    const listening = { listen, limits: short, ...(tls && { tlsHost: "127.0.73.1" }) };
    await using p = await platform(listening);
    const attacks = SLOW.map(async ([what, work, time, fits]) => {
      using client = new RawClient(p.url, { tls });
      const started = performance.now();
      const dripping = work(client);
      assert.match(await client.end(), fits, what);
      const took = performance.now() - started;
      assert.ok(took < time, `who ${what} is closed after ${took} ms`);
      await dripping;
    });
    await served(p.url, undefined, tls);
    await Promise.all(attacks);
  });
}

Deno.test("a connection on which nothing moves is closed, whatever of a request has come", async () => {
  const forever = { headersTimeout: 60_000, requestTimeout: 60_000, idleTimeout: 60_000 };
  await using p = await platform({ listen, limits: { ...forever, stallTimeout: 400 } });
  const half = requestText("POST", LOGIN, [JSON_TYPE, "content-length: 9"], "half");
  for (const words of ["", "GET /api/st", half]) {
    using client = new RawClient(p.url);
    client.send(words);
    await client.end(3_000);
  }
});

Deno.test("who does not finish a TLS handshake is closed, whatever came of it", async (t) => {
  await using p = await platform({ listen, limits: short, tlsHost: "127.0.73.1" });
  for (
    const [what, hello] of [
      ["nothing", ""],
      ["half a ClientHello", "\x16\x03\x01\x02\x00\x01"],
      ["plain HTTP", requestText("GET", "/api/status")],
      ["garbage", "\x00\xff\x13\x37".repeat(64)],
    ]
  ) {
    await t.step(what!, async () => {
      using client = new RawClient(p.url);
      client.socket.write(hello!, "latin1");
      assert.doesNotMatch(await client.end(2_000), /HTTP/);
      await served(p.url, undefined, true);
    });
  }
});

Deno.test("too much is refused by its own name: headers 431, body 413, garbage 400", async () => {
  await using p = await platform({ listen });
  const login = (...headers: string[]) => requestText("POST", LOGIN, [JSON_TYPE, ...headers]);
  const long = "y".repeat(9_000);
  const many = Array.from({ length: 1_000 }, (_, i) => `x-${i}: 0123456789`);
  const attempts: [request: string, status: number, error: string][] = [
    [requestText("GET", `/${long}`), 431, "RequestHeaderFieldsTooLarge"],
    [requestText("GET", "/api/status", [`x: ${long}`]), 431, "RequestHeaderFieldsTooLarge"],
    [requestText("GET", "/api/status", many), 431, "RequestHeaderFieldsTooLarge"],
    [login("content-length: 17000"), 413, "PayloadTooLarge"],
    [login("content-length: 999999999999"), 413, "PayloadTooLarge"],
    ["\x16\x03\x01garbage\r\n\r\n", 400, "BadRequest"],
    [login("content-length: 5", "transfer-encoding: chunked"), 400, "BadRequest"],
    [login("content-length: 5", "content-length: 6"), 400, "BadRequest"],
    [requestText("TRACE", "/api/status"), 400, "BadRequest"],
  ];
  for (const [request, wanted, error] of attempts) {
    const { status, body } = await ask(p.url, request);
    assert.equal(status, wanted, request.slice(0, 200));
    assert.equal(JSON.parse(body).error, error);
  }
  await served(p.url);
});

Deno.test("whatever is sent, the answer is a refusal or none: nothing fails inside, and others are served", async () => {
  await using p = await platform({
    listen,
    limits: { ...short, anonymousRequests: 1e9, failedLogins: 1e9 },
  });
  const paths = fc.constantFrom(
    LOGIN,
    "/api/v2/gateways",
    "/api/v1/relays",
    "/",
    "//x",
    "/%00",
    "*",
  );
  const methods = fc.constantFrom("GET", "POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "PROPFIND");
  const header = fc.tuple(
    fc.constantFrom("authorization", "content-type", "content-encoding", "expect", "upgrade", "x"),
    fc.oneof(fc.constantFrom("Bearer x", "application/json", "100-continue", "h2c"), fc.string()),
  ).map(([name, value]) => `${name}: ${value}`);
  const request = fc.tuple(methods, paths, fc.array(header, { maxLength: 4 }), fc.jsonValue())
    .map(([method, path, headers, value]) => {
      const body = JSON.stringify(value);
      const length = `content-length: ${new TextEncoder().encode(body).length}`;
      return new TextEncoder().encode(requestText(method, path, [...headers, length], body));
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(request, fc.uint8Array({ maxLength: 500 })), async (bytes) => {
      using client = new RawClient(p.url);
      client.socket.end(bytes);
      const statuses = [...(await client.end()).matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, s]) =>
        s!
      );
      for (const status of statuses) assert.match(status, /^(200|100|4\d\d)$/);
    }),
    { numRuns: 300 },
  );
  await served(p.url);
});

Deno.test("an announced body is not waited for when it is too long already", async () => {
  await using p = await platform({ listen });
  using client = new RawClient(p.url);
  client.send(requestText("POST", LOGIN, [JSON_TYPE, "content-length: 99999999"]));
  await client.has(/^HTTP\/1\.1 413 /);
  const chunk = "x".repeat(64 * 1024);
  for (let i = 0; i < 64 && !client.socket.destroyed; i++) {
    await new Promise((resolve) => client.socket.write(chunk, resolve));
  }
  await client.end();
});

Deno.test("one address that opens connections without end closes its own, and nobody else's", async () => {
  await using p = await platform({
    listen,
    limits: { connections: 20, connectionsPerAddress: 8 },
  });
  using honest = new RawClient(p.url, { from: "127.0.73.2" });
  honest.send("GET /api/status HTTP/1.1\r\n");
  const flood: RawClient[] = [];
  for (let i = 0; i < 100; i++) flood.push(new RawClient(p.url, { from: "127.0.73.66" }));
  const open = () => flood.filter(({ socket }) => !socket.destroyed).length;
  await until(() => open() === 8, "all but eight of the flood are closed");
  honest.send("host: x\r\n\r\n");
  await honest.has(/^HTTP\/1\.1 200 /);
  await served(p.url, "127.0.73.66");
  for (const one of flood) one.socket.destroy();
});

Deno.test("many addresses that open connections without end crowd out nobody who has few", async () => {
  await using p = await platform({
    listen,
    limits: { connections: 20, connectionsPerAddress: 8 },
  });
  using honest = new RawClient(p.url, { from: "127.0.73.2" });
  honest.send("GET /api/status HTTP/1.1\r\n");
  const flood: RawClient[] = [];
  for (let i = 0; i < 120; i++) {
    flood.push(new RawClient(p.url, { from: `127.0.73.${50 + i % 6}` }));
  }
  const open = () => flood.filter(({ socket }) => !socket.destroyed).length;
  await until(() => open() === 19, "nineteen of the flood are left");
  honest.send("host: x\r\n\r\n");
  await honest.has(/^HTTP\/1\.1 200 /);
  await served(p.url, "127.0.73.3");
  for (const one of flood) one.socket.destroy();
});

for (const tls of [false, true]) {
  Deno.test(`a flood does not close a connection that is being answered${tls ? " over TLS" : ""}`, async () => {
    const asked = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const stop = new AbortController();
    const handler = async () => {
      asked.resolve();
      await gate.promise;
      return new Response("at last");
    };
    const limits = { connections: 2, connectionsPerAddress: 2 };
    const keys = tls ? await tlsKeys() : undefined;
    const { address, finished } = await serveApi(
      { listen, limits, handler, tls: keys },
      stop.signal,
    );
    const url = `http://${address.host}:${address.port}`;
    using patient = new RawClient(url, { tls });
    patient.send(requestText("GET", "/"));
    await asked.promise;
    const flood = Array.from({ length: 20 }, () => new RawClient(url));
    await until(() => flood.filter(({ socket }) => !socket.destroyed).length === 1, "one is left");
    gate.resolve();
    await patient.has(/^HTTP\/1\.1 200 [^]*at last$/);
    for (const { socket } of flood) socket.destroy();
    stop.abort();
    await finished;
  });
}

Deno.test("requests without end on one connection, whose answers nobody reads, do not pile up", async () => {
  await using p = await platform({ listen });
  const many = requestText("GET", "/api/docs/json").repeat(1_000);
  for (let i = 0; i < 20; i++) {
    using client = new RawClient(p.url);
    client.socket.pause();
    client.send(many);
    await client.end();
    await served(p.url, "127.0.73.2");
  }
});

Deno.test("who sends a second request before the first is answered gets both answers, in order", async () => {
  await using p = await platform({ listen });
  using client = new RawClient(p.url);
  client.send(requestText("GET", "/api/status") + requestText("GET", "/no/such/path"));
  await client.has(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 404 /);
});

Deno.test("stopping answers what was asked and waits for nobody else", async () => {
  const p = await platform({ listen });
  using asking = new RawClient(p.url);
  using silent = new RawClient(p.url);
  using half = new RawClient(p.url);
  half.send(requestText("POST", LOGIN, [JSON_TYPE, "content-length: 9"], "half"));
  await until(() => half.socket.bytesWritten > 0 && silent.socket.readyState === "open", "sent");
  asking.send(requestText("GET", "/api/docs/json"));
  await asking.has(/openapi/);
  const started = performance.now();
  await p.dispose();
  assert.ok(performance.now() - started < 2_000);
  for (const client of [asking, silent, half]) await client.end();
  assert.match(asking.received, /\}$/);
});
