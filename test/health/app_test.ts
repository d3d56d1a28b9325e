import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import type { HealthAddress } from "../../src/health/address.ts";
import { healthApp } from "../../src/health/app.ts";
import { History } from "../../src/health/history.ts";
import { statusSchema } from "../../src/health/schema.ts";
import { LinkState } from "../../src/link/state.ts";
import { hideSecret } from "../../src/log.ts";
import { VERSION } from "../../src/version.ts";

const local = { host: "127.0.0.1", port: 8222 };

function setUp(address: HealthAddress = local) {
  let now = Date.UTC(2030, 0, 1);
  const state = new LinkState("edge", () => now);
  const history = new History(state, () => now);
  const app = healthApp({ state, history, address, now: () => now });
  const ask = (
    path: string,
    init: { method?: string; host?: string; headers?: Record<string, string> } = {},
  ) =>
    app.request(path, {
      method: init.method,
      headers: { host: init.host ?? "127.0.0.1:8222", ...init.headers },
    });
  return {
    state,
    ask,
    pass: (ms: number) => now += ms,
    [Symbol.dispose]: () => history.close(),
  };
}

Deno.test("the process is alive whatever the tunnel does", async () => {
  using set = setUp();
  const { state, ask } = set;
  for (const phase of ["starting", "up", "down"] as const) {
    state.update({ phase });
    for (const path of ["/healthz", "/livez"]) {
      const response = await ask(path);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), "ok\n");
    }
  }
});

Deno.test("only a live tunnel is ready, and what is not says why", async () => {
  using set = setUp();
  const { state, ask } = set;
  const says = async (status: number, reason: string) => {
    const response = await ask("/readyz");
    assert.equal(response.status, status);
    assert.equal(await response.text(), `${reason}\n`);
  };
  await says(503, "the gateway is not registered yet");
  state.update({ phase: "connecting", relay: { name: "r", address: "relay:2222" } });
  await says(503, "connecting to relay:2222");
  state.update({ phase: "up" });
  await says(200, "the tunnel is up through relay:2222");
  state.fault(new SallyportError("ssh-closed", "no sign of life for 10000 ms"), "down");
  await says(503, "the tunnel is down: no sign of life for 10000 ms");
  state.update({ phase: "draining" });
  await says(503, "the gateway is stopping");
});

Deno.test("the status tells what there is to know, as JSON", async () => {
  using set = setUp();
  const { state, ask, pass } = set;
  state.measureBy({
    channels: () => ({ open: 3, served: 7, failed: 1, refused: 2, bytesIn: 1000, bytesOut: 2000 }),
    latency: () => 12.345,
  });
  state.fault(new SallyportError("relay-unreachable", "refused", { hint: "open 2222" }));
  state.update({
    phase: "up",
    gatewayId: "id",
    relay: { name: "r", address: "relay:2222" },
    reconnects: 2,
    certificatesEnd: new Date(Date.UTC(2030, 0, 2)),
    nextRenewal: new Date(Date.UTC(2030, 0, 1, 6)),
  });
  pass(90_000);
  const response = await ask("/status");
  assert.match(response.headers.get("content-type")!, /^application\/json/);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const status = await response.json();
  assert.deepEqual(statusSchema.parse(status), status);
  const lastError = {
    code: "relay-unreachable",
    message: "refused",
    hint: "open 2222",
    at: "2030-01-01T00:00:00.000Z",
  };
  assert.deepEqual(status, {
    version: VERSION,
    ready: true,
    reason: "the tunnel is up through relay:2222",
    phase: "up",
    since: "2030-01-01T00:00:00.000Z",
    for: 90,
    gateway: "edge",
    gatewayId: "id",
    relay: { name: "r", address: "relay:2222" },
    latency: 12.3,
    lastError,
    errors: [{ ...lastError, times: 1 }],
    reconnects: 2,
    certificatesEnd: "2030-01-02T00:00:00.000Z",
    nextRenewal: "2030-01-01T06:00:00.000Z",
    channels: { open: 3, served: 7, failed: 1 },
    targetsRefused: 2,
    bytes: { in: 1000, out: 2000 },
  });
});

Deno.test("GET and HEAD are served, everything else is not allowed", async () => {
  using set = setUp();
  const { ask } = set;
  const head = await ask("/healthz", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    const response = await ask("/status", { method });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
  }
  const nowhere = await ask("/metric");
  assert.equal(nowhere.status, 404);
  assert.match(await nowhere.text(), /\/metrics/);
});

Deno.test("a foreign host name is refused, so that no web page can read the status", async () => {
  const statusOf = async (host: string, bound: string) => {
    using set = setUp({ host: bound, port: 8222 });
    return (await set.ask("/status", { host })).status;
  };
  for (const host of ["127.0.0.1", "localhost:8222", "127.9.9.9:1", "[::1]:8222", "LOCALHOST"]) {
    assert.equal(await statusOf(host, "127.0.0.1"), 200, host);
  }
  for (const host of ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8222", "localhost.x"]) {
    assert.equal(await statusOf(host, "127.0.0.1"), 421, host);
  }
  assert.equal(await statusOf("10.0.0.1:8222", "10.0.0.1"), 200);
  assert.equal(await statusOf("10.0.0.1:8222", ""), 200);
  assert.equal(await statusOf("10.0.0.1:8222", "0.0.0.0"), 200);
  assert.equal(await statusOf("evil.example", "0.0.0.0"), 421);
});

Deno.test("a page of another origin is refused, whatever it asks with; a link to ours is not", async () => {
  using set = setUp();
  const statusOf = async (headers: Record<string, string>, path = "/status") =>
    (await set.ask(path, { headers })).status;
  const foreign: Record<string, string>[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:9999" },
    { origin: "https://127.0.0.1:8222" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
  ];
  for (const headers of foreign) {
    assert.equal(await statusOf(headers), 403, JSON.stringify(headers));
  }
  const own: Record<string, string>[] = [
    {},
    { origin: "http://127.0.0.1:8222" },
    { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
    { "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
  ];
  for (const headers of own) assert.equal(await statusOf(headers), 200, JSON.stringify(headers));
});

Deno.test("a socket in the file system answers under any name: no browser gets there", async () => {
  using set = setUp({ path: "/run/sallyport.sock" });
  assert.equal((await set.ask("/status", { host: "whatever" })).status, 200);
  const foreign = { headers: { origin: "http://evil.example" } };
  assert.equal((await set.ask("/status", foreign)).status, 403);
});

Deno.test("no secret is shown, in whatever error it stands", async () => {
  using set = setUp();
  const { state, ask } = set;
  hideSecret("correct-horse-battery");
  const message = "refused: correct-horse-battery, Bearer abcdefghijkl";
  const hint = "look at http://user:swordfish@proxy/";
  state.fault(new SallyportError("credentials-refused", message, { hint }), "down");
  for (const path of ["/", "/status", "/history", "/readyz", "/metrics"]) {
    const text = await (await ask(path)).text();
    for (const secret of ["correct-horse-battery", "abcdefghijkl", "swordfish"]) {
      assert.ok(!text.includes(secret), `${path} shows ${secret}`);
    }
  }
});
