import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { initPlatform } from "../../src/platform/admin.ts";
import { startPlatform } from "../../src/platform/platform.ts";
import { temporaryFolder } from "../temporary.ts";
import { platform, refused } from "./fixture.ts";

const JSON_TYPE = { "content-type": "application/json" };

Deno.test("unknown paths and methods are 404 with the platform's error body", async () => {
  await using p = await platform();
  for (const [method, path] of [["GET", "/"], ["GET", "/api/v2/gateways"], ["POST", "/api/x"]]) {
    const { status, body, response } = await p.call(method!, path!);
    assert.equal(status, 404);
    assert.deepEqual(body, {
      statusCode: 404,
      message: `there is no ${method} ${path} here`,
      error: "NotFound",
    });
    assert.equal(response.headers.get("cache-control"), "no-store");
  }
});

Deno.test("a missing field, a wrong one, bad JSON and no body are refused by name", async () => {
  await using p = await platform();
  const path = "/api/v1/auth/universal-auth/login";
  const attempts: [body: string | undefined, status: number, message: RegExp][] = [
    ['{"clientId":"x"}', 422, /^clientSecret: /],
    ['{"clientId":5,"clientSecret":"hunter2"}', 422, /^clientId: /],
    ['{"clientSecret": hunter2', 400, /Malformed JSON/],
    ["[]", 422, /^body: /],
    [undefined, 422, /./],
  ];
  for (const [body, status, message] of attempts) {
    const answer = await p.call("POST", path, { body, headers: JSON_TYPE });
    assert.ok(answer.status === status || (body === undefined && answer.status === 400));
    assert.equal(answer.body.statusCode, answer.status);
    assert.match(answer.body.message, message);
    assert.equal(typeof answer.body.error, "string");
    assert.ok(!JSON.stringify(answer.body).includes("hunter2"));
  }
  const plain = await p.call("POST", path, {
    body: "{}",
    headers: { "content-type": "text/plain" },
  });
  assert.ok(plain.status >= 400 && plain.status < 500, String(plain.status));
});

Deno.test("who calls is asked before what they want", async () => {
  await using p = await platform();
  const { status } = await p.call("POST", "/api/v2/gateways", { body: "{}", headers: JSON_TYPE });
  assert.equal(status, 401);
});

Deno.test("a body over the limit is 413, announced or not", async () => {
  await using p = await platform();
  const path = "/api/v1/auth/universal-auth/login";
  const big = new TextEncoder().encode(`{"clientId":"${"x".repeat(70_000)}"}`);
  const announced = await p.call("POST", path, { body: big, headers: JSON_TYPE });
  assert.deepEqual([announced.status, announced.body.error], [413, "PayloadTooLarge"]);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < big.length; at += 8192) controller.enqueue(big.slice(at, at + 8192));
      controller.close();
    },
  });
  const streamed = await p.call("POST", path, { body, headers: JSON_TYPE });
  assert.deepEqual([streamed.status, streamed.body.error], [413, "PayloadTooLarge"]);
});

Deno.test("a body without end is refused while it comes", async () => {
  await using p = await platform();
  const { hostname, port } = new URL(p.url);
  using socket = await Deno.connect({ hostname, port: Number(port) });
  const chunk = `2000\r\n${"x".repeat(0x2000)}\r\n`;
  const head = "POST /api/v1/auth/universal-auth/login HTTP/1.1\r\nhost: x\r\n" +
    "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
  await socket.write(new TextEncoder().encode(head));
  for (let i = 0; i < 9; i++) await socket.write(new TextEncoder().encode(chunk));
  const answer = new Uint8Array(1024);
  const length = await Promise.race([
    socket.read(answer),
    new Promise<never>((_, reject) => {
      AbortSignal.timeout(5_000).addEventListener("abort", () => reject(new Error("no answer")));
    }),
  ]);
  assert.match(new TextDecoder().decode(answer.subarray(0, length ?? 0)), /^HTTP\/1\.1 413 /);
});

Deno.test("a failure inside is 500 and tells nothing of the inside", async () => {
  await using p = await platform();
  const { token } =
    (p.admin.createIdentity({ name: "ci", roles: ["gateway"] }),
      p.admin.createIdentityToken({ identity: "ci" }));
  using database = new DatabaseSync(join(p.dataDir, "platform.db"));
  database.exec("ALTER TABLE relay RENAME TO gone");
  const { status, body } = await p.call("GET", "/api/v1/relays", {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.deepEqual(body, {
    statusCode: 500,
    message: "the platform failed; its log says why",
    error: "InternalServerError",
  });
  assert.equal(status, 500);
});

Deno.test("the OpenAPI document names every call of the protocol", async () => {
  await using p = await platform();
  const { status, body } = await p.call("GET", "/api/docs/json");
  assert.equal(status, 200);
  assert.equal(body.openapi, "3.1.0");
  const calls = Object.entries(body.paths as Record<string, object>)
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
  assert.deepEqual(calls.sort(), [
    "get /api/v1/relays",
    "get /api/v1/sallyport/revocations",
    "post /api/v1/auth/token/renew",
    "post /api/v1/auth/universal-auth/login",
    "post /api/v1/relays/heartbeat-instance-relay",
    "post /api/v1/relays/heartbeat-org-relay",
    "post /api/v1/relays/register-instance-relay",
    "post /api/v1/relays/register-org-relay",
    "post /api/v1/sallyport/connections",
    "post /api/v2/gateways",
    "post /api/v2/gateways/heartbeat",
    "post /api/v2/relays/connect",
    "post /api/v2/relays/heartbeat",
    "post /api/v2/relays/login",
    "post /api/v3/gateways/connect",
    "post /api/v3/gateways/token-auth/enroll",
  ]);
});

Deno.test("with a TLS host the platform serves https under its own authority", async () => {
  await using p = await platform({ tlsHost: "127.0.70.1" });
  assert.match(p.url, /^https:\/\/127\.0\.70\.1:\d+$/);
  assert.deepEqual(await p.as("edge", ["gateway"]).relays(), []);
  const path = join(p.dataDir, "api-ca.pem");
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.ok(!(await readFile(path, "utf8")).includes("PRIVATE"));
  await assert.rejects(fetch(`${p.url}/api/status`), "a client that does not know the authority");
});

Deno.test("a port in use, and a TLS host that is none, are named", async () => {
  await using p = await platform();
  const { hostname, port } = new URL(p.url);
  const listen = { host: hostname, port: Number(port) };
  const { signal } = new AbortController();
  await refused(() => startPlatform({ dataDir: p.dataDir, listen }, signal), "port-in-use");
  const tls = { dataDir: p.dataDir, listen: { ...listen, port: 0 }, tlsHost: "https://x" };
  await refused(() => startPlatform(tls, signal), "platform-request", /host "https:\/\/x"/);
  const nowhere = { host: "192.0.2.1", port: 0 };
  await refused(() => startPlatform({ dataDir: p.dataDir, listen: nowhere }, signal), "listen");
});

Deno.test("without a host the platform listens on every address and calls itself localhost", async () => {
  await using folder = await temporaryFolder();
  const dataDir = folder.path;
  await initPlatform({ dataDir });
  const stop = new AbortController();
  const { url, address, finished } = await startPlatform(
    { dataDir, listen: { host: "", port: 0 } },
    stop.signal,
  );
  assert.equal(url, `http://localhost:${address.port}`);
  const response = await fetch(`http://127.0.70.9:${address.port}/api/status`);
  assert.equal(response.status, 200);
  await response.body?.cancel();
  stop.abort();
  await finished;
});
