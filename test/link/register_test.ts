import assert from "node:assert/strict";
import type { Dial } from "../../src/egress/dial.ts";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { registrar } from "../../src/link/register.ts";
import { gatewayRegistration } from "../registration_fixture.ts";

const unreachable: Dial = () => Promise.reject(new SallyportError("relay-unreachable", "away"));

/** A registrar over an API that lists no relay, or fails to. */
async function setUp(enrolled: boolean, relayName?: string, listing?: ErrorCode) {
  const registration = await gatewayRegistration({ relayHost: "relay.example:3333" });
  const calls: unknown[] = [];
  const answer = (call: unknown) => {
    calls.push(call);
    return Promise.resolve(registration);
  };
  const register = registrar({
    api: {
      registerGateway: (body) => answer(["v2", body]),
      connectGateway: (body) => answer(["v3", body]),
      relays: () => {
        calls.push("relays");
        return listing ? Promise.reject(new SallyportError(listing, "no")) : Promise.resolve([]);
      },
    },
    name: "edge",
    enrolled,
    relayName,
    dial: unreachable,
    now: Date.now,
  });
  return { register, calls, registration };
}

Deno.test("a machine identity registers by v2, an enrolled gateway by v3", async () => {
  const v2 = await setUp(false, "r");
  const registered = await v2.register({});
  assert.deepEqual(registered.address, { host: "relay.example", port: 3333 });
  assert.equal(registered.relayName, "r");
  assert.equal(registered.registration, v2.registration);
  assert.deepEqual(v2.calls, [["v2", { name: "edge", relayName: "r" }]]);
  const v3 = await setUp(true, "r");
  await v3.register({});
  assert.deepEqual(v3.calls, [["v3", { relayName: "r" }]]);
});

Deno.test("the person's relay goes before the wished one, and that before a choice", async () => {
  const named = await setUp(false, "r");
  await named.register({ relayName: "other" });
  assert.deepEqual(named.calls, [["v2", { name: "edge", relayName: "r" }]]);
  const wished = await setUp(false);
  await wished.register({ relayName: "other" });
  assert.deepEqual(wished.calls, [["v2", { name: "edge", relayName: "other" }]]);
});

Deno.test("an enrolled gateway that may not list relays leaves the choice to the platform", async () => {
  for (const listing of ["credentials-refused", "api-not-found"] as const) {
    const { register, calls } = await setUp(true, undefined, listing);
    assert.equal((await register({})).relayName, undefined);
    assert.deepEqual(calls, ["relays", ["v3", {}]]);
  }
});

Deno.test("otherwise a choice that fails is an error", async () => {
  const refused = await setUp(false, undefined, "credentials-refused");
  await assert.rejects(refused.register({}), { code: "credentials-refused" });
  const away = await setUp(true, undefined, "api-unreachable");
  await assert.rejects(away.register({}), { code: "api-unreachable" });
  const none = await setUp(true);
  await assert.rejects(none.register({}), { code: "relay-none" });
});
