import assert from "node:assert/strict";
import { platform, refused } from "./fixture.ts";

Deno.test("what belongs to another organisation cannot be seen or used", async () => {
  await using p = await platform();
  await p.admin.createOrganisation({ name: "other" });
  const relay = p.as("relay", ["relay"], "default");
  await relay.registerRelay({ type: "org", name: "r1", host: "127.0.70.2" });
  const { gatewayId } = await p.as("edge", ["gateway"], "default")
    .registerGateway({ name: "gw", relayName: "r1" });

  const edge = p.as("edge", ["gateway"], "other");
  assert.deepEqual(await edge.relays(), []);
  await refused(() => edge.registerGateway({ name: "x", relayName: "r1" }), "api-not-found");
  const client = p.as("client", ["client"], "other");
  for (const gateway of ["gw", gatewayId]) {
    await refused(
      () => client.openConnection({ gateway, targetHost: "db", targetPort: 1 }),
      "api-not-found",
      /there is no gateway/,
    );
  }
  await refused(
    () => p.as("relay", ["relay"], "other").relayHeartbeat({ type: "org", name: "r1" }),
    "api-not-found",
  );
});

Deno.test("two organisations use the same names for different things", async () => {
  await using p = await platform();
  await p.admin.createOrganisation({ name: "other", keyType: "ed25519" });
  const ids: string[] = [];
  const authorities: string[] = [];
  for (const [i, organisation] of ["default", "other"].entries()) {
    const relay = p.as("relay", ["relay"], organisation);
    await relay.registerRelay({ type: "org", name: "r1", host: `127.0.70.${i + 2}` });
    const { gatewayId, relayHost, ssh, pki } = await p.as("edge", ["gateway"], organisation)
      .registerGateway({ name: "gw", relayName: "r1" });
    assert.equal(relayHost, `127.0.70.${i + 2}`);
    const connection = await p.as("client", ["client"], organisation)
      .openConnection({ gateway: "gw", targetHost: "db", targetPort: 1 });
    assert.equal(connection.gatewayId, gatewayId);
    ids.push(gatewayId);
    authorities.push(
      ssh.serverCAPublicKey,
      pki.clientCertificateChain,
      connection.relay.serverCertificateChain,
      connection.gateway.serverCertificateChain,
    );
  }
  assert.equal(new Set(ids).size, 2);
  assert.equal(new Set(authorities).size, authorities.length);
});

Deno.test("with several organisations administration asks which", async () => {
  await using p = await platform();
  p.admin.createIdentity({ name: "alone", roles: ["client"] });
  const other = await p.admin.createOrganisation({ name: "other" });
  await refused(
    () => p.admin.createIdentity({ name: "x", roles: ["client"] }),
    "platform-request",
    /several organisations/,
  );
  await refused(
    () => p.admin.createGatewayToken({ gateway: "x", organisation: "third" }),
    "platform-request",
    /no organisation "third"/,
  );
  await refused(() => p.admin.createOrganisation({ name: "other" }), "platform-request", /already/);
  p.admin.createIdentity({ name: "x", roles: ["client", "gateway"], organisation: other.id });
  assert.deepEqual(
    p.admin.identities().map(({ name, organisation, roles }) => [name, organisation, roles.sort()]),
    [["alone", "default", ["client"]], ["x", "other", ["client", "gateway"]]],
  );
  assert.deepEqual(p.admin.organisations().map(({ name }) => name), ["default", "other"]);
});

Deno.test("administration says what is wrong with a request", async () => {
  await using p = await platform();
  const { admin } = p;
  admin.createIdentity({ name: "x", roles: ["client"] });
  const wrong: [() => unknown, RegExp][] = [
    [() => admin.createIdentity({ name: "x", roles: ["client"] }), /an identity "x" already/],
    [() => admin.createIdentity({ name: "a b", roles: ["client"] }), /identity "a b": 1 to 64/],
    [() => admin.createIdentity({ name: "y", roles: [] }), /needs roles/],
    [() => admin.createIdentity({ name: "y", roles: ["admin" as "client"] }), /needs roles/],
    [() => admin.createIdentityToken({ identity: "nobody" }), /no identity "nobody"/],
    [() => admin.createIdentityToken({ identity: "x", ttl: 0 }), /positive whole number/],
    [() => admin.createGatewayToken({ gateway: "g", ttl: Infinity }), /positive whole number/],
    [() => admin.createRelayToken({ relay: "r", host: "a:1" }), /host "a:1"/],
    [() => admin.createRelayToken({ relay: "r", sshPort: 22 }), /with its host/],
  ];
  for (const [work, message] of wrong) await refused(work, "platform-request", message);
});
