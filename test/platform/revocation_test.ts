/** Revocation and rotation at the platform itself: what holds afterwards and what does not. */
import assert from "node:assert/strict";
import { readX509Pem } from "../../src/certificates/x509.ts";
import { runCli } from "../../src/cli/cli.ts";
import { Clock, HOUR, MINUTE, platform, type PlatformFixture, refused } from "./fixture.ts";

const LISTEN = { host: "127.0.49.20", port: 0 };

async function withRelay(p: PlatformFixture, organisation?: string) {
  const relay = p.as("relay", ["relay"], organisation);
  await relay.registerRelay({ type: "org", name: "r1", host: "127.0.49.21" });
  await relay.relayHeartbeat({ type: "org", name: "r1" });
  return relay;
}

Deno.test("a revoked gateway's own token opens no call, and every answer says why", async () => {
  await using p = await platform({ listen: LISTEN });
  await withRelay(p);
  const { accessToken } = await p.api().enrolGateway(
    p.admin.createGatewayToken({ gateway: "a" }).token,
  );
  const own = p.api(accessToken);
  await own.connectGateway();
  p.admin.revokeGateway({ gateway: "a" });
  const calls = [
    () => own.connectGateway(),
    () => own.gatewayHeartbeat(),
    () => own.relays(),
  ];
  for (const call of calls) await refused(call, "revoked", /403, the gateway "a" was revoked/);
});

Deno.test("a gateway that an identity registered does not come back under its name or by its heartbeat", async () => {
  await using p = await platform({ listen: LISTEN });
  await withRelay(p);
  const edge = p.as("edge", ["gateway"]);
  const first = await edge.registerGateway({ name: "gw", relayName: "r1" });
  p.admin.revokeGateway({ gateway: "gw" });
  await refused(() => edge.registerGateway({ name: "gw", relayName: "r1" }), "revoked");
  await refused(() => edge.gatewayHeartbeat(), "revoked");
  p.admin.readmitGateway({ gateway: "gw" });
  const second = await edge.registerGateway({ name: "gw", relayName: "r1" });
  assert.notEqual(second.gatewayId, first.gatewayId);
  await refused(() => p.admin.readmitGateway({ gateway: "gw" }), "platform-request", /not revoked/);
});

Deno.test("a revoked identity cannot log in, renew, or use what it was given", async () => {
  await using p = await platform({ listen: LISTEN });
  await withRelay(p);
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const { accessToken } = await p.api().login({ clientId, clientSecret });
  p.admin.revokeIdentity({ identity: "ci" });
  await refused(() => p.api().login({ clientId, clientSecret }), "revoked", /identity "ci" was/);
  await refused(() => p.api().renewToken(accessToken), "revoked");
  await refused(() => p.api(accessToken).relays(), "revoked");
  await refused(() => p.admin.createIdentityToken({ identity: "ci" }), "platform-request");
  // Who does not know the secret learns nothing.
  await refused(() => p.api().login({ clientId, clientSecret: "x" }), "credentials-refused");
});

Deno.test("revocation lists are for relays, of their own organisation alone, instance relays for all", async () => {
  await using p = await platform({ listen: LISTEN });
  await p.admin.createOrganisation({ name: "other" });
  const ids: Record<string, string> = {};
  for (const organisation of ["default", "other"]) {
    const { id } = p.admin.createIdentity({ name: "eve", roles: ["client"], organisation });
    const { token } = p.admin.createGatewayToken({ gateway: "gw", organisation });
    ids[organisation] = (await p.api().enrolGateway(token)).id;
    p.admin.revokeGateway({ gateway: "gw", organisation });
    p.admin.revokeIdentity({ identity: id });
  }
  const relay = await withRelay(p, "default");
  const own = await relay.revocations({ relay: "r1" });
  assert.deepEqual(own.gateways, [ids.default]);
  assert.equal(own.identities.length, 1);
  const all = await p.api(p.relaySecret).revocations({ relay: "r1" });
  assert.deepEqual(all.gateways.sort(), Object.values(ids).sort());
  assert.equal(all.identities.length, 2);
  const { token } = p.admin.createRelayToken({
    relay: "r2",
    host: "127.0.49.22",
    organisation: "other",
  });
  const login = await p.call("POST", "/api/v2/relays/login", {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ method: "token", token }),
  });
  assert.deepEqual((await p.api(login.body.accessToken).revocations({ relay: "r1" })).gateways, [
    ids.other,
  ]);
  for (const role of ["gateway", "client"] as const) {
    await refused(
      () => p.as(role, [role], "default").revocations({ relay: "r1" }),
      "credentials-refused",
      /403/,
    );
  }
});

Deno.test("a token is rotated: the new one holds, the old one ends after its grace", async () => {
  const clock = new Clock();
  await using p = await platform({ listen: LISTEN, now: clock.now });
  p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const other = p.as("other", ["gateway"]);
  const { token: old } = p.admin.createIdentityToken({ identity: "ci" });
  const { token } = p.admin.createIdentityToken({ identity: "ci", grace: MINUTE });
  await p.api(old).relays();
  clock.time += MINUTE;
  await refused(() => p.api(old).relays(), "credentials-refused", /unknown or has expired/);
  await p.api(token).relays();
  const { token: third } = p.admin.createIdentityToken({ identity: "ci", grace: 0 });
  await refused(() => p.api(token).relays(), "credentials-refused");
  await p.api(third).relays();
  await other.relays();
});

Deno.test("a token ends by its own time, and a rotated login does not renew past its grace", async () => {
  const clock = new Clock();
  await using p = await platform({ listen: LISTEN, now: clock.now });
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const short = p.admin.createIdentityToken({ identity: "ci", ttl: HOUR }).token;
  clock.time += HOUR - 1;
  await p.api(short).relays();
  const { accessToken } = await p.api().login({ clientId, clientSecret });
  p.admin.createIdentityToken({ identity: "ci", grace: MINUTE });
  clock.time += 1;
  await refused(() => p.api(short).relays(), "credentials-refused");
  await p.api().renewToken(accessToken);
  clock.time += MINUTE;
  await refused(() => p.api(accessToken).relays(), "credentials-refused");
  await refused(() => p.api().renewToken(accessToken), "credentials-refused");
});

Deno.test("a rotated client secret is the only one that logs in", async () => {
  await using p = await platform({ listen: LISTEN });
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const rotated = p.admin.rotateIdentity({ identity: "ci" });
  assert.equal(rotated.clientId, clientId);
  await refused(() => p.api().login({ clientId, clientSecret }), "credentials-refused");
  await p.api().login(rotated);
});

Deno.test("each connection's certificates and keys are its own", async () => {
  await using p = await platform({ listen: LISTEN });
  await withRelay(p);
  await p.as("edge", ["gateway"]).registerGateway({ name: "gw", relayName: "r1" });
  const client = p.as("client", ["client"]);
  const wish = { gateway: "gw", targetHost: "db", targetPort: 1 };
  const grants = [await client.openConnection(wish), await client.openConnection(wish)];
  const sides = grants.flatMap(({ relay, gateway }) => [relay, gateway]);
  const serials = sides.map(({ clientCertificate }) => readX509Pem(clientCertificate).serial);
  assert.equal(new Set(serials).size, 4);
  assert.equal(new Set(sides.map(({ clientPrivateKey }) => clientPrivateKey)).size, 4);
  for (const { clientCertificate } of sides) {
    const { notBefore, notAfter } = readX509Pem(clientCertificate);
    assert.ok(notAfter.getTime() - notBefore.getTime() <= 10 * MINUTE);
  }
});

Deno.test("the command line revokes, readmits and rotates", async () => {
  await using p = await platform({ listen: LISTEN });
  const run = async (...args: string[]) => {
    const said = { out: "", err: "" };
    const status = await runCli(
      ["platform", ...args, "--data", p.dataDir, "--log-level", "error"],
      {
        out: (text) => said.out += text,
        err: (text) => said.err += text,
        env: {},
        signal: new AbortController().signal,
        onReload: () => {},
      },
    );
    return { status, ...said };
  };
  p.admin.createGatewayToken({ gateway: "gw" });
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  assert.match((await run("gateways", "revoke", "gw")).err, /drop it within ten seconds/);
  assert.match((await run("gateways", "revoke", "gw")).err, /was revoked before/);
  assert.equal((await run("token", "create", "--gateway", "gw")).status, 2);
  assert.equal((await run("gateways", "readmit", "gw")).status, 0);
  assert.equal((await run("token", "create", "--gateway", "gw")).status, 0);
  const [, secret] = /client-secret (\S+)/.exec((await run("identity", "rotate", "ci")).out)!;
  await p.api().login({ clientId, clientSecret: secret! });
  await refused(() => p.api().login({ clientId, clientSecret }), "credentials-refused");
  p.admin.createRelayToken({ relay: "r1" });
  assert.match((await run("relays", "revoke", "r1")).err, /its gateways go elsewhere/);
  assert.match((await run("relays", "revoke", "r1")).err, /was revoked before/);
  assert.match((await run("relays")).out, /REVOKED AT[^]*r1 +org.*T/);
  assert.equal((await run("token", "create", "--relay", "r1")).status, 2);
  assert.equal((await run("relays", "readmit", "r1")).status, 0);
  assert.equal((await run("token", "create", "--relay", "r1")).status, 0);
  assert.match((await run("identity", "revoke", "ci")).err, /"ci" is revoked/);
  assert.equal((await run("gateways", "revoke", "nobody")).status, 2);
  assert.match(
    (await run("token", "create", "--gateway", "x", "--replace", "0s")).err,
    /--identity/,
  );
});
