import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { dialer } from "../../src/egress/dial.ts";
import { rankRelays, selectRelay } from "../../src/link/select_relay.ts";

const now = Date.UTC(2030, 0, 1);
const dial = dialer("relay-unreachable", "relay");

function relay(name: string, host: string, orgId: string | null = "org", ago = 0) {
  return { id: name, name, host, orgId, heartbeat: new Date(now - ago).toISOString() };
}

async function listener(host: string): Promise<{ address: string; server: Server }> {
  const server = createServer((socket) => socket.on("error", () => {}).destroy());
  server.listen({ host, port: 0 });
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return { address: `${host}:${port}`, server };
}

Deno.test("only relays with a heartbeat within the hour count, the organisation's first", () => {
  const relays = [
    relay("instance", "a", null),
    relay("old", "b", "org", 60 * 60_000),
    { ...relay("silent", "c"), heartbeat: null },
    { ...relay("odd", "c"), heartbeat: "yesterday" },
    relay("own", "d", "org", 60 * 60_000 - 1),
    relay("failed", "e"),
  ];
  const names = rankRelays(relays, now, new Set(["failed"])).map((g) => g.map((r) => r.name));
  assert.deepEqual(names, [["own"], ["instance"], ["failed"]]);
});

Deno.test("the nearest by TCP connect time is chosen", async () => {
  const near = await listener("127.0.0.1");
  const far = await listener("127.0.0.1");
  const slow: typeof dial = async (host, port, options) => {
    const socket = await dial(host, port, options);
    if (`${host}:${port}` === far.address) await new Promise((r) => setTimeout(r, 50));
    return socket;
  };
  const relays = [relay("far", far.address), relay("near", near.address)];
  const chosen = await selectRelay({ relays, dial: slow, now });
  assert.equal(chosen.name, "near");
  near.server.close();
  far.server.close();
});

Deno.test("a relay that does not answer is passed over, even for an instance relay", async () => {
  const { address, server } = await listener("127.0.0.1");
  const relays = [relay("dead", "127.0.0.1:58999"), relay("instance", address, null)];
  assert.equal((await selectRelay({ relays, dial, now })).name, "instance");
  server.close();
});

Deno.test("no relay at all, no healthy one and no reachable one are told apart", async () => {
  await assert.rejects(selectRelay({ relays: [], dial, now }), {
    code: "relay-none",
    message: /knows no relay/,
  });
  await assert.rejects(selectRelay({ relays: [relay("x", "h", "o", 1e8)], dial, now }), {
    code: "relay-none",
    message: /none of 1 relays/,
  });
  await assert.rejects(selectRelay({ relays: [relay("x", "127.0.0.1:58999")], dial, now }), {
    code: "relay-none",
    message: /no relay can be reached: x: relay 127\.0\.0\.1:58999: connection refused/,
  });
});

Deno.test("the choice ends with its signal", async () => {
  const signal = AbortSignal.abort(new Error("stop"));
  const relays = [relay("x", "127.0.0.1:58999")];
  await assert.rejects(selectRelay({ relays, dial, now, signal }), { message: "stop" });
});
