import assert from "node:assert/strict";
import { parseSshCertificate, verifySshCertificate } from "../../src/certificates/ssh.ts";
import { parseAuthorizedKey } from "../../src/certificates/ssh_key.ts";
import { Clock, HOUR, MINUTE, platform, type PlatformFixture, refused } from "./fixture.ts";

const R1 = { type: "org", name: "r1", host: "127.0.70.2" } as const;

async function withRelay(p: PlatformFixture) {
  const relay = p.as("relay", ["relay"]);
  await relay.registerRelay(R1);
  await relay.relayHeartbeat(R1);
  return relay;
}

function userCertificate(line: string) {
  return parseSshCertificate(parseAuthorizedKey(line).blob);
}

Deno.test("an identity registers a gateway, whose id stays the same", async () => {
  await using p = await platform();
  await withRelay(p);
  const api = p.as("edge", ["gateway"]);
  const first = await api.registerGateway({ name: "gw", relayName: "r1" });
  const second = await api.registerGateway({ name: "gw", relayName: "r1" });
  assert.equal(second.gatewayId, first.gatewayId);
  assert.equal(first.relayHost, "127.0.70.2");
  assert.notEqual(second.pki.serverPrivateKey, first.pki.serverPrivateKey);
  const [listed] = p.admin.gateways();
  assert.equal(listed?.id, first.gatewayId);
  assert.equal(listed?.relay, "r1");
  assert.equal(listed?.organisation, "default");
  assert.equal(listed?.heartbeat, null);
});

Deno.test("a gateway's SSH certificate is for its id and name, through the named relay", async () => {
  await using p = await platform();
  const relay = await (await withRelay(p)).registerRelay(R1);
  const { gatewayId, ssh } = await p.as("edge", ["gateway"])
    .registerGateway({ name: "gw", relayName: "r1" });
  const certificate = userCertificate(ssh.clientCertificate);
  assert.equal(certificate.keyId, "client-r1");
  assert.deepEqual(certificate.principals, [gatewayId, "gw"]);
  verifySshCertificate(certificate, {
    certType: "user",
    authority: parseAuthorizedKey(relay.ssh.clientCAPublicKey).blob,
    principals: [gatewayId],
    now: new Date(),
  });
});

Deno.test("an unknown relay is 404, and no gateway is left behind", async () => {
  await using p = await platform();
  const api = p.as("edge", ["gateway"]);
  await refused(
    () => api.registerGateway({ name: "gw", relayName: "nowhere" }),
    "api-not-found",
    /there is no relay "nowhere"/,
  );
  assert.deepEqual(p.admin.gateways(), []);
});

Deno.test("a gateway's name belongs to the identity that registered it", async () => {
  await using p = await platform();
  await withRelay(p);
  await p.as("one", ["gateway"]).registerGateway({ name: "gw", relayName: "r1" });
  await refused(
    () => p.as("two", ["gateway"]).registerGateway({ name: "gw", relayName: "r1" }),
    "api-rejected",
    /409, the gateway "gw" belongs to another identity/,
  );
});

Deno.test("a gateway cannot be named like another's id, which is an SSH principal", async () => {
  await using p = await platform();
  await withRelay(p);
  const api = p.as("edge", ["gateway"]);
  const { gatewayId } = await api.registerGateway({ name: "gw", relayName: "r1" });
  for (const name of [gatewayId, gatewayId.toUpperCase()]) {
    await refused(
      () => api.registerGateway({ name, relayName: "r1" }),
      "api-rejected",
      /422, name: a name must not look like an id/,
    );
    await refused(() => p.admin.createGatewayToken({ gateway: name }), "platform-request");
  }
});

Deno.test("a gateway enrols once and then connects with its own token", async () => {
  await using p = await platform();
  await withRelay(p);
  const { token } = p.admin.createGatewayToken({ gateway: "edge" });
  const { accessToken, id: gatewayId } = await p.api().enrolGateway(token);
  assert.equal(p.admin.gateways()[0]?.id, gatewayId);
  const own = p.api(accessToken);
  const named = await own.connectGateway({ relayName: "r1" });
  assert.equal(named.gatewayId, gatewayId);
  assert.deepEqual(userCertificate(named.ssh.clientCertificate).principals, [gatewayId, "edge"]);
  await own.gatewayHeartbeat();
  assert.notEqual(p.admin.gateways()[0]?.heartbeat, null);
  assert.deepEqual((await own.relays()).map(({ name }) => name), ["r1"]);
  await refused(
    () => p.api().enrolGateway(token),
    "credentials-refused",
    /unknown, used or has expired/,
  );
});

Deno.test("of many who enrol with one token at once exactly one wins", async () => {
  await using p = await platform();
  const { token } = p.admin.createGatewayToken({ gateway: "edge" });
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, () => p.api().enrolGateway(token)),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
});

Deno.test("an enrolment token ends by the clock, and tokens of other kinds do not enrol", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const late = p.admin.createGatewayToken({ gateway: "edge", ttl: MINUTE });
  assert.equal(late.expires.getTime(), clock.time + MINUTE);
  const others = [
    p.admin.createIdentityToken({ identity: "ci" }).token,
    p.admin.createRelayToken({ relay: "r" }).token,
    p.relaySecret,
    "nonsense",
  ];
  for (const token of others) {
    await refused(() => p.api().enrolGateway(token), "credentials-refused", /: 401, /);
  }
  clock.time += MINUTE;
  await refused(() => p.api().enrolGateway(late.token), "credentials-refused", /: 401, /);
});

Deno.test("a gateway that is enrolled anew leaves its old token and its identity behind", async () => {
  await using p = await platform();
  await withRelay(p);
  const identity = p.as("edge", ["gateway"]);
  const { gatewayId } = await identity.registerGateway({ name: "gw", relayName: "r1" });
  const first = await p.api().enrolGateway(p.admin.createGatewayToken({ gateway: "gw" }).token);
  const second = await p.api().enrolGateway(p.admin.createGatewayToken({ gateway: "gw" }).token);
  assert.equal(first.id, gatewayId);
  assert.equal(second.id, gatewayId);
  await refused(() => p.api(first.accessToken).connectGateway(), "credentials-refused", /401/);
  await p.api(second.accessToken).connectGateway();
  await refused(() => identity.registerGateway({ name: "gw", relayName: "r1" }), "api-rejected");
});

Deno.test("without a relay's name a gateway keeps its relay, else gets a healthy one", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  const relay = await withRelay(p);
  await relay.registerRelay({ type: "org", name: "silent", host: "127.0.70.3" });
  const { accessToken } = await p.api().enrolGateway(
    p.admin.createGatewayToken({ gateway: "a" }).token,
  );
  const own = p.api(accessToken);
  assert.equal((await own.connectGateway()).relayHost, "127.0.70.2");
  await own.connectGateway({ relayName: "silent" });
  assert.equal((await own.connectGateway()).relayHost, "127.0.70.3");
  clock.time += HOUR;
  const other = await p.api().enrolGateway(p.admin.createGatewayToken({ gateway: "b" }).token);
  await refused(
    () => p.api(other.accessToken).connectGateway(),
    "api-not-found",
    /there is no healthy relay/,
  );
});

Deno.test("v3 connect and the heartbeats take a call without a body", async () => {
  await using p = await platform();
  await withRelay(p);
  const { accessToken } = await p.api().enrolGateway(
    p.admin.createGatewayToken({ gateway: "a" }).token,
  );
  const headers = { authorization: `Bearer ${accessToken}` };
  assert.equal((await p.call("POST", "/api/v3/gateways/connect", { headers })).status, 200);
  assert.equal((await p.call("POST", "/api/v2/gateways/heartbeat", { headers })).status, 200);
});

Deno.test("an identity's heartbeat counts for its own gateways alone", async () => {
  await using p = await platform();
  await withRelay(p);
  const one = p.as("one", ["gateway"]);
  const two = p.as("two", ["gateway"]);
  await refused(() => one.gatewayHeartbeat(), "api-not-found");
  await one.registerGateway({ name: "a", relayName: "r1" });
  await two.registerGateway({ name: "b", relayName: "r1" });
  await one.gatewayHeartbeat();
  const alive = p.admin.gateways().filter(({ heartbeat }) => heartbeat).map(({ name }) => name);
  assert.deepEqual(alive, ["a"]);
});
