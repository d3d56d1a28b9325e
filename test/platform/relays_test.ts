import assert from "node:assert/strict";
import { parseSshCertificate, verifySshCertificate } from "../../src/certificates/ssh.ts";
import { parseAuthorizedKey } from "../../src/certificates/ssh_key.ts";
import { readX509Pem } from "../../src/certificates/x509.ts";
import { Clock, MINUTE, platform, refused } from "./fixture.ts";

function hostCertificate(line: string) {
  return parseSshCertificate(parseAuthorizedKey(line).blob);
}

Deno.test("an organisation relay registers, beats and is listed", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  const relay = p.as("relay", ["relay"]);
  const described = { type: "org", name: "r1", host: "relay.example.org" } as const;
  const { pki, ssh } = await relay.registerRelay(described);
  const { subject } = readX509Pem(pki.serverCertificate);
  assert.equal(subject.commonName, "relay.example.org");
  assert.equal(subject.organizationalUnit, "Relay");
  const certificate = hostCertificate(ssh.serverCertificate);
  assert.equal(certificate.keyId, "relay-server");
  assert.deepEqual(certificate.principals, ["relay.example.org:2222"]);
  const days = Number(certificate.validBefore - certificate.validAfter) / 86_400;
  assert.ok(days > 30 && days < 30.1, String(days));

  const gateway = p.as("gateway", ["gateway"]);
  const [before] = await gateway.relays();
  assert.equal(before?.heartbeat, null);
  clock.time += MINUTE;
  await relay.relayHeartbeat(described);
  const [entry] = await gateway.relays();
  const { id } = p.admin.organisations()[0]!;
  assert.deepEqual([entry?.name, entry?.host, entry?.orgId], ["r1", "relay.example.org", id]);
  assert.equal(entry?.heartbeat, new Date(clock.time).toISOString());
});

Deno.test("a relay on other ports has them in its principal and in gateways' relayHost", async () => {
  await using p = await platform();
  const relay = p.as("relay", ["relay"]);
  const described = {
    type: "org",
    name: "r1",
    host: "127.0.70.2",
    sshPort: 2022,
    tlsPort: 9443,
  } as const;
  const { ssh } = await relay.registerRelay(described);
  assert.deepEqual(hostCertificate(ssh.serverCertificate).principals, ["127.0.70.2:2022"]);
  const edge = p.as("edge", ["gateway"]);
  const moved = await edge.registerGateway({ name: "gw", relayName: "r1" });
  assert.equal(moved.relayHost, "127.0.70.2:2022");
  const client = p.as("client", ["client"]);
  const target = { gateway: "gw", targetHost: "db", targetPort: 1 };
  assert.equal((await client.openConnection(target)).relay.tlsPort, 9443);

  await relay.registerRelay({ type: "org", name: "r1", host: "127.0.70.3" });
  const back = await edge.registerGateway({ name: "gw", relayName: "r1" });
  assert.equal(back.relayHost, "127.0.70.3");
  assert.equal((await client.openConnection(target)).relay.tlsPort, 8443);
});

Deno.test("an IPv6 relay's principal is written with and without brackets", async () => {
  await using p = await platform();
  const relay = p.as("relay", ["relay"]);
  const described = { type: "org", name: "six", host: "fd00::1", sshPort: 2022 } as const;
  const { ssh } = await relay.registerRelay(described);
  const { principals } = hostCertificate(ssh.serverCertificate);
  assert.deepEqual(principals, ["fd00::1:2022", "[fd00::1]:2022"]);
  const { relayHost } = await p.as("edge", ["gateway"])
    .registerGateway({ name: "gw", relayName: "six" });
  assert.equal(relayHost, "[fd00::1]:2022");
});

Deno.test("an instance relay wants the relay secret and serves every organisation", async () => {
  await using p = await platform();
  await p.admin.createOrganisation({ name: "other" });
  const described = { type: "instance", name: "shared", host: "127.0.70.4" } as const;
  await refused(() => p.api("wrong").registerRelay(described), "credentials-refused", /401/);
  const instance = p.api(p.relaySecret);
  const registration = await instance.registerRelay(described);
  await instance.relayHeartbeat(described);
  for (const organisation of ["default", "other"]) {
    const edge = p.as("edge", ["gateway"], organisation);
    const [entry] = await edge.relays();
    assert.equal(entry?.orgId, null);
    const { gatewayId, ssh } = await edge.registerGateway({ name: "gw", relayName: "shared" });
    assert.equal(ssh.serverCAPublicKey, lineOfAuthority(registration.ssh.serverCertificate));
    verifySshCertificate(parseSshCertificate(parseAuthorizedKey(ssh.clientCertificate).blob), {
      certType: "user",
      authority: parseAuthorizedKey(registration.ssh.clientCAPublicKey).blob,
      principals: [gatewayId],
      now: new Date(),
    });
  }
  assert.deepEqual(p.admin.relays().map(({ type, organisation }) => [type, organisation]), [
    ["instance", null],
  ]);
});

function lineOfAuthority(certificate: string): string {
  const { authority } = hostCertificate(certificate);
  const type = authority.subarray(4, 4 + authority.readUInt32BE(0)).toString();
  return `${type} ${authority.toString("base64")}`;
}

Deno.test("an organisation's relay goes before an instance relay of the same name", async () => {
  await using p = await platform();
  await p.api(p.relaySecret).registerRelay({ type: "instance", name: "r", host: "127.0.70.4" });
  const edge = p.as("edge", ["gateway"]);
  const first = await edge.registerGateway({ name: "gw", relayName: "r" });
  assert.equal(first.relayHost, "127.0.70.4");
  await p.as("relay", ["relay"]).registerRelay({ type: "org", name: "r", host: "127.0.70.5" });
  const second = await edge.registerGateway({ name: "gw", relayName: "r" });
  assert.equal(second.relayHost, "127.0.70.5");
  assert.notEqual(second.ssh.serverCAPublicKey, first.ssh.serverCAPublicKey);
  assert.deepEqual((await edge.relays()).map(({ host }) => host), ["127.0.70.5", "127.0.70.4"]);
});

Deno.test("a relay's name belongs to the identity that registered it", async () => {
  await using p = await platform();
  const described = { type: "org", name: "r1", host: "127.0.70.2" } as const;
  await p.as("one", ["relay"]).registerRelay(described);
  const two = p.as("two", ["relay"]);
  await refused(() => two.registerRelay(described), "api-rejected", /belongs to another identity/);
  await refused(() => two.relayHeartbeat(described), "api-not-found");
});

Deno.test("hosts with ports, schemes, spaces or nothing in them are refused by name", async () => {
  await using p = await platform();
  const relay = p.as("relay", ["relay"]);
  const bad = [
    "",
    "a b",
    "host:2222",
    "[::1]",
    "https://host",
    "1.2.3",
    "-x",
    "a..b",
    "fe80::1%eth0",
  ];
  for (const host of bad) {
    await refused(
      () => relay.registerRelay({ type: "org", name: "r1", host }),
      "api-rejected",
      /422, host: /,
    );
  }
  assert.deepEqual(p.admin.relays(), []);
});

Deno.test("a relay enrols with a one-time token, connects and beats", async () => {
  await using p = await platform();
  const { token } = p.admin.createRelayToken({ relay: "own" });
  const post = (path: string, body: unknown, bearer?: string) =>
    p.call("POST", path, {
      body: JSON.stringify(body),
      headers: {
        "content-type": "application/json",
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      },
    });
  const attempts = await Promise.all(
    [1, 2, 3, 4].map(() => post("/api/v2/relays/login", { method: "token", token })),
  );
  assert.deepEqual(attempts.map(({ status }) => status).sort(), [200, 401, 401, 401]);
  const { accessToken, relayId } = attempts.find(({ status }) => status === 200)!.body;
  assert.equal(p.admin.relays()[0]?.id, relayId);

  const edge = p.as("edge", ["gateway"]);
  assert.deepEqual(await edge.relays(), []);
  const unplaced = await post("/api/v2/relays/connect", {}, accessToken);
  assert.equal(unplaced.status, 400);
  const place = { host: "127.0.70.6", sshPort: 2022 };
  const { body } = await post("/api/v2/relays/connect", place, accessToken);
  assert.deepEqual(hostCertificate(body.ssh.serverCertificate).principals, ["127.0.70.6:2022"]);
  const again = await post("/api/v2/relays/connect", {}, accessToken);
  assert.deepEqual(hostCertificate(again.body.ssh.serverCertificate).principals, [
    "127.0.70.6:2022",
  ]);
  assert.equal((await post("/api/v2/relays/heartbeat", {}, accessToken)).status, 200);
  assert.notEqual((await edge.relays())[0]?.heartbeat, null);

  const thief = p.as("thief", ["relay"]);
  await refused(
    () => thief.registerRelay({ type: "org", name: "own", host: "127.0.70.7" }),
    "api-rejected",
    /409/,
  );
  const renewed = p.admin.createRelayToken({ relay: "own", host: "127.0.70.8" }).token;
  const next = await post("/api/v2/relays/login", { method: "token", token: renewed });
  assert.equal(next.body.relayId, relayId);
  assert.equal((await post("/api/v2/relays/connect", {}, accessToken)).status, 401);
  const own = next.body.accessToken;
  assert.equal((await post("/api/v2/relays/connect", {}, own)).status, 200);
  assert.equal((await edge.relays())[0]?.host, "127.0.70.8");
  const denied = await post("/api/v2/gateways/heartbeat", {}, own);
  assert.equal(denied.status, 403);
  const other = await post("/api/v2/relays/login", { method: "aws", token });
  assert.equal(other.status, 422);
});

Deno.test("an enrolled instance relay is its own, and not the relay secret's any more", async () => {
  await using p = await platform();
  const instance = p.api(p.relaySecret);
  const described = { type: "instance", name: "shared", host: "127.0.70.4" } as const;
  await instance.registerRelay(described);
  const { token } = p.admin.createRelayToken({ relay: "shared", type: "instance" });
  await instance.registerRelay(described);
  const { status } = await p.call("POST", "/api/v2/relays/login", {
    body: JSON.stringify({ method: "token", token }),
    headers: { "content-type": "application/json" },
  });
  assert.equal(status, 200);
  await refused(() => instance.registerRelay(described), "api-rejected", /409/);
});
