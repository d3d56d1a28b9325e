import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { healthApp } from "../../src/health/app.ts";
import { LinkState } from "../../src/link/state.ts";
import { VERSION } from "../../src/version.ts";

const local = { host: "127.0.0.1", port: 8222 };

function setUp(address = local) {
  let now = Date.UTC(2030, 0, 1);
  const state = new LinkState("edge", () => now);
  const app = healthApp({ state, address, now: () => now });
  const ask = (path: string, init: { method?: string; host?: string } = {}) =>
    app.request(path, { method: init.method, headers: { host: init.host ?? "127.0.0.1:8222" } });
  return { state, ask, pass: (ms: number) => now += ms };
}

Deno.test("the process is alive whatever the tunnel does", async () => {
  const { state, ask } = setUp();
  assert.equal((await ask("/healthz")).status, 200);
  state.update({ phase: "down" });
  const response = await ask("/healthz");
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "ok\n");
});

Deno.test("only a live tunnel is ready, and what is not says why", async () => {
  const { state, ask } = setUp();
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
  const { state, ask, pass } = setUp();
  state.countChannels(() => 3);
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
  assert.deepEqual(await response.json(), {
    version: VERSION,
    ready: true,
    reason: "the tunnel is up through relay:2222",
    phase: "up",
    since: "2030-01-01T00:00:00.000Z",
    for: 90,
    gateway: "edge",
    gatewayId: "id",
    relay: { name: "r", address: "relay:2222" },
    lastError: {
      code: "relay-unreachable",
      message: "refused",
      hint: "open 2222",
      at: "2030-01-01T00:00:00.000Z",
    },
    reconnects: 2,
    certificatesEnd: "2030-01-02T00:00:00.000Z",
    nextRenewal: "2030-01-01T06:00:00.000Z",
    openChannels: 3,
  });
});

Deno.test("GET and HEAD are served, everything else is not allowed", async () => {
  const { ask } = setUp();
  const head = await ask("/healthz", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    const response = await ask("/status", { method });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
  }
  assert.equal((await ask("/metrics")).status, 404);
});

Deno.test("a foreign host name is refused, so that no web page can read the status", async () => {
  const statusOf = async (host: string, bound: string) =>
    (await setUp({ host: bound, port: 8222 }).ask("/status", { host })).status;
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
