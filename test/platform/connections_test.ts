import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { OID, readX509Pem } from "../../src/certificates/x509.ts";
import { readRoute } from "../../src/channel/route.ts";
import { Clock, MINUTE, platform, refused } from "./fixture.ts";

const R1 = { type: "org", name: "r1", host: "127.0.70.2" } as const;

Deno.test("a connection's certificates name the gateway, the target and the identity", async () => {
  const clock = new Clock();
  await using p = await platform({ now: clock.now });
  await p.as("relay", ["relay"]).registerRelay(R1);
  const { gatewayId } = await p.as("edge", ["gateway"])
    .registerGateway({ name: "gw", relayName: "r1" });
  const client = p.as("alice", ["client"]);
  const connection = await client.openConnection({
    gateway: "gw",
    targetHost: "https://db.internal",
    targetPort: 5432,
  });
  assert.equal(connection.gatewayId, gatewayId);
  assert.deepEqual([connection.relay.host, connection.relay.tlsPort], ["127.0.70.2", 8443]);
  const { id: org } = p.admin.organisations()[0]!;
  const { id: alice } = p.admin.identities().find(({ name }) => name === "alice")!;

  const toRelay = readX509Pem(connection.relay.clientCertificate);
  assert.deepEqual(toRelay.subject, {
    organization: `default-${org}`,
    organizationalUnit: "relay-client",
    commonName: gatewayId,
  });
  assert.equal(toRelay.extensions.get(OID.gateway)?.toString(), '{"name":"gw"}');

  const toGateway = readX509Pem(connection.gateway.clientCertificate);
  assert.deepEqual(toGateway.subject, {
    organization: org,
    organizationalUnit: "gateway-client",
    commonName: `user:${alice}`,
  });
  assert.equal(
    toGateway.extensions.get(OID.target)?.toString(),
    '{"targetHost":"https://db.internal","targetPort":5432}',
  );
  const { raw } = new X509Certificate(connection.gateway.clientCertificate);
  const route = readRoute("infisical-http-proxy", raw);
  assert.deepEqual(route.target, { host: "https://db.internal", port: 5432 });
  // A user, so that the gateway refuses the Kubernetes actions.
  assert.deepEqual(route.actor, { type: "user", id: alice, name: "alice" });

  for (const { notBefore, notAfter } of [toRelay, toGateway]) {
    const since = Math.floor(clock.time / 1000) * 1000;
    assert.equal(notBefore.getTime(), since - MINUTE);
    assert.equal(notAfter.getTime(), since + 5 * MINUTE);
  }
  const again = await client.openConnection({
    gateway: gatewayId,
    targetHost: "db",
    targetPort: 1,
  });
  assert.equal(again.gatewayId, gatewayId);
});

Deno.test("unknown gateways, such without a relay and bad targets are refused", async () => {
  await using p = await platform();
  p.admin.createGatewayToken({ gateway: "new" });
  const client = p.as("alice", ["client"]);
  const target = { targetHost: "db", targetPort: 1 };
  await refused(() => client.openConnection({ gateway: "none", ...target }), "api-not-found");
  await refused(
    () => client.openConnection({ gateway: "new", ...target }),
    "api-rejected",
    /409, the gateway "new" has not chosen a relay yet/,
  );
  const hosts = ["", "a b", "a\nb", "db:5432", "ftp://db", "https://db/path", "user@db"];
  for (const targetHost of hosts) {
    await refused(
      () => client.openConnection({ gateway: "new", targetHost, targetPort: 1 }),
      "api-rejected",
      /422, targetHost: /,
    );
  }
  for (const targetPort of [0, 65_536, 1.5]) {
    await refused(
      () => client.openConnection({ gateway: "new", targetHost: "db", targetPort }),
      "api-rejected",
      /422, targetPort: /,
    );
  }
});
