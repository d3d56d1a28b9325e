import assert from "node:assert/strict";
import { request } from "node:http";
import { serveHealth } from "../../src/health/server.ts";
import { LinkState } from "../../src/link/state.ts";

/** The status of a GET whose Host header is not the address's; fetch would not send that. */
function statusUnder(host: string, address: string): Promise<number> {
  const [hostname, port] = address.split(":");
  return new Promise((resolve, reject) => {
    request({ host: hostname, port, path: "/healthz", headers: { host } }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode!));
    }).on("error", reject).end();
  });
}

Deno.test("health is served on the address that is asked for, until it is closed", async () => {
  const state = new LinkState("g");
  const server = await serveHealth(state, "127.0.0.1:0");
  assert.ok(server);
  assert.match(server.address, /^127\.0\.0\.1:[1-9]\d*$/);
  const url = `http://${server.address}/readyz`;
  const before = await fetch(url);
  assert.equal(before.status, 503);
  await before.text();
  state.update({ phase: "up" });
  const after = await fetch(url);
  assert.equal(after.status, 200);
  await after.text();
  assert.equal(await statusUnder("evil.example", server.address), 421);
  assert.equal(await statusUnder(server.address, server.address), 200);
  await server.close();
  await assert.rejects(fetch(url));
});

Deno.test("health can be turned off", async () => {
  assert.equal(await serveHealth(new LinkState("g"), "off"), undefined);
});

Deno.test("a port in use is named, with the flag that chooses another", async () => {
  const first = (await serveHealth(new LinkState("g"), "127.0.0.1:0"))!;
  await assert.rejects(serveHealth(new LinkState("h"), first.address), {
    code: "port-in-use",
    message: `${first.address} is already in use by another program`,
    hint: /--health-listen/,
  });
  await first.close();
});

Deno.test("what is no listening address is wrong usage", async () => {
  const long = `unix:/${"x".repeat(200)}`;
  for (const listen of ["8222", "127.0.0.1", "127.0.0.1:99999", "on", "unix:relative", long]) {
    await assert.rejects(serveHealth(new LinkState("g"), listen), {
      code: "usage",
      message: /--health-listen/,
    });
  }
});
