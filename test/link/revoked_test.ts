/** A gateway that its platform has cut off, whatever the relay does about it. */
import assert from "node:assert/strict";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { type FakeServer, fakeServer, json } from "../fake_server.ts";
import { temporaryFolder } from "../temporary.ts";
import { within } from "../within.ts";
import { SmallRelay } from "./small_relay.ts";

const REVOKED = { statusCode: 403, message: "the gateway was revoked", error: "Revoked" };

async function gatewayOf(platform: FakeServer) {
  const folder = await temporaryFolder();
  const stop = new AbortController();
  const gateway = await startGateway({
    name: "edge",
    domain: platform.url,
    auth: { method: "token", token: secretSource("T") },
    relayName: "r1",
    stateDir: folder.path,
    healthListen: "off",
    backoff: { base: 20, cap: 50 },
    drainTimeout: 0,
  }, stop.signal);
  return {
    ...gateway,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await gateway.finished.catch(() => {});
      await folder[Symbol.asyncDispose]();
    },
  };
}

Deno.test("it stops when its heartbeat is refused, although its relay knows nothing of it", async () => {
  await using relay = await SmallRelay.start();
  await using platform = fakeServer(async (request) => {
    if (new URL(request.url).pathname.endsWith("heartbeat")) return json(REVOKED, 403);
    return json(await relay.registration());
  });
  await using gateway = await gatewayOf(platform);
  await assert.rejects(within(10_000, gateway.finished), { code: "revoked", exitCode: 7 });
  assert.equal(gateway.state.snapshot.lastError?.code, "revoked");
  await relay.sessions[0]!.closed;
});

Deno.test("it stops when it asks for new certificates, although its old ones hold", async () => {
  await using relay = await SmallRelay.start();
  let revoked = false;
  await using platform = fakeServer(async (request) => {
    const registers = new URL(request.url).pathname.endsWith("gateways");
    if (!registers) return json({ message: "ok" });
    return revoked ? json(REVOKED, 403) : json(await relay.registration());
  });
  await using gateway = await gatewayOf(platform);
  await gateway.state.until(({ phase }) => phase === "up");
  revoked = true;
  await relay[Symbol.asyncDispose]();
  await assert.rejects(within(10_000, gateway.finished), { code: "revoked", exitCode: 7 });
});

Deno.test("it does not even begin when it is revoked already", async () => {
  await using platform = fakeServer(() => json(REVOKED, 401));
  await using gateway = await gatewayOf(platform);
  await assert.rejects(within(10_000, gateway.finished), { code: "revoked", exitCode: 7 });
  assert.equal(platform.requests.length, 1);
});

Deno.test("a 403 without that word is an ordinary refusal", async () => {
  for (const error of ["Forbidden", "revoked", { name: "Revoked" }, undefined]) {
    await using platform = fakeServer(() => json({ ...REVOKED, error }, 403));
    await using gateway = await gatewayOf(platform);
    await assert.rejects(within(10_000, gateway.finished), {
      code: "credentials-refused",
      exitCode: 3,
    });
  }
});
