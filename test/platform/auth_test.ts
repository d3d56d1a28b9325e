import assert from "node:assert/strict";
import { Clock, HOUR, MINUTE, platform, refused } from "./fixture.ts";

Deno.test("universal auth trades a client id and secret for a token that works", async () => {
  await using p = await platform();
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const login = await p.api().login({ clientId, clientSecret });
  assert.equal(login.tokenType, "Bearer");
  assert.equal(login.expiresIn, 3600);
  assert.equal(login.accessTokenMaxTTL, 86_400);
  assert.deepEqual(await p.api(login.accessToken).relays(), []);
});

Deno.test("a wrong secret and an unknown client id get the same 401", async () => {
  await using p = await platform();
  const one = p.admin.createIdentity({ name: "one", roles: ["gateway"] });
  const two = p.admin.createIdentity({ name: "two", roles: ["gateway"] });
  const wrong = { clientId: one.clientId, clientSecret: two.clientSecret };
  const unknown = { clientId: one.id, clientSecret: one.clientSecret };
  await refused(() => p.api().login(wrong), "credentials-refused", /401, invalid credentials/);
  await refused(() => p.api().login(unknown), "credentials-refused", /401, invalid credentials/);
});

Deno.test("an access token is renewed until its longest life, and not after its end", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const start = clock.time;
  const { accessToken } = await p.api().login({ clientId, clientSecret });
  clock.time = start + 50 * MINUTE;
  const renewed = await p.api().renewToken(accessToken);
  assert.equal(renewed.expiresIn, 3600);
  assert.equal(renewed.accessTokenMaxTTL, 86_400);
  clock.time = start + 100 * MINUTE;
  await p.api(renewed.accessToken).relays();
  clock.time = start + 110 * MINUTE;
  await refused(() => p.api(renewed.accessToken).relays(), "credentials-refused", /expired/);
  await refused(() => p.api().renewToken(renewed.accessToken), "credentials-refused", /expired/);

  const again = await p.api().login({ clientId, clientSecret });
  const second = clock.time;
  for (let hour = 0.9; hour < 23.5; hour += 0.9) {
    clock.time = second + hour * HOUR;
    await p.api().renewToken(again.accessToken);
  }
  const last = await p.api().renewToken(again.accessToken);
  assert.equal(last.expiresIn, Math.floor((second + 24 * HOUR - clock.time) / 1000));
  clock.time = second + 24 * HOUR;
  await refused(() => p.api().renewToken(again.accessToken), "credentials-refused");
});

Deno.test("a token of administration has the life that was asked for and is not renewed", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  const { id } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const short = p.admin.createIdentityToken({ identity: "ci", ttl: MINUTE });
  const long = p.admin.createIdentityToken({ identity: id });
  assert.equal(short.expires?.getTime(), clock.time + MINUTE);
  assert.equal(long.expires, undefined);
  await p.api(short.token).relays();
  await refused(() => p.api().renewToken(long.token), "api-rejected", /cannot be renewed/);
  clock.time += MINUTE;
  await refused(() => p.api(short.token).relays(), "credentials-refused", /401/);
  clock.time += 1000 * HOUR;
  await p.api(long.token).relays();
});

Deno.test("no token, half a token, another's secret and a one-time token are 401", async () => {
  await using p = await platform();
  p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const { token: one } = p.admin.createIdentityToken({ identity: "ci" });
  const { token: two } = p.admin.createIdentityToken({ identity: "ci" });
  const mixed = one.slice(0, -43) + two.slice(-43);
  const enrolment = p.admin.createGatewayToken({ gateway: "gw" }).token;
  const bad = [undefined, "x", one.slice(0, -1), mixed, one.replace("sp-id", "sp-gw"), enrolment];
  for (const token of bad) {
    await refused(() => p.api(token).relays(), "credentials-refused", /: 401, /);
  }
  await p.api(one).relays();
});

Deno.test("an identity may do what its roles say and nothing else", async () => {
  await using p = await platform();
  const gateway = p.as("g", ["gateway"]);
  const relay = p.as("r", ["relay"]);
  const client = p.as("c", ["client"]);
  const described = { type: "org", name: "r1", host: "127.0.70.2" } as const;
  await relay.registerRelay(described);
  await relay.relayHeartbeat(described);
  await gateway.registerGateway({ name: "gw", relayName: "r1" });
  const target = { gateway: "gw", targetHost: "db", targetPort: 1 };
  await client.openConnection(target);
  const denied = [
    () => gateway.registerRelay(described),
    () => gateway.relayHeartbeat(described),
    () => gateway.openConnection(target),
    () => gateway.connectGateway({}),
    () => relay.registerGateway({ name: "gw", relayName: "r1" }),
    () => relay.gatewayHeartbeat(),
    () => relay.relays(),
    () => relay.openConnection(target),
    () => relay.registerRelay({ ...described, type: "instance" }),
    () => client.registerGateway({ name: "gw", relayName: "r1" }),
    () => client.registerRelay(described),
    () => client.relays(),
    () => p.api(p.relaySecret).registerRelay(described),
    () => p.api(p.relaySecret).relays(),
    () => p.api(p.relaySecret).openConnection(target),
  ];
  for (const call of denied) await refused(call, "credentials-refused", /: 403, /);
});
