/**
 * Two organisations on one instance relay, each with a gateway "edge". Organisation A has everything
 * that the platform gives it, its own authorities' keys as well, and tries to reach B's gateway.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import { formatAuthorizedKey, formatPrivateKey } from "../../src/certificates/ssh_key.ts";
import { OID, readX509Pem } from "../../src/certificates/x509.ts";
import type { Connection } from "../../src/enroll/api.ts";
import { Authorities } from "../../src/platform/authorities.ts";
import { generateKey, keyToPem } from "../../src/platform/keys.ts";
import { Store } from "../../src/platform/store.ts";
import { issueLeaf, type Name } from "../../src/platform/x509_issue.ts";
import { captureLog } from "../captured_log.ts";
import { target } from "../channel/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { System, type SystemGateway } from "./system.ts";

const A = "default";
const B = "other";
const HOUR = 3_600_000;

/** Both organisations at work, and what A holds. */
class Tenants {
  private constructor(
    readonly system: System,
    readonly a: SystemGateway,
    readonly b: SystemGateway,
    /** Grants of a client of each. */
    readonly grants: { a: Connection; b: Connection },
    readonly store: Store,
    readonly authorities: Authorities,
    readonly ids: { a: string; b: string },
    /** How many reached B's target. */
    readonly reached: () => number,
    readonly dispose: () => Promise<void>,
  ) {}

  static async start(): Promise<Tenants> {
    const system = await System.start("instance");
    const { admin, dataDir } = system.platform;
    await admin.createOrganisation({ name: B });
    const echo = await target("127.0.49.30", (socket) => void socket.pipe(socket));
    const a = await system.gateway("edge", A);
    const b = await system.gateway("edge", B);
    const wish = { gateway: "edge", targetHost: echo.host, targetPort: echo.port };
    const grants = {
      a: await system.platform.as("mallory", ["client"], A).openConnection(wish),
      b: await system.platform.as("bob", ["client"], B).openConnection(wish),
    };
    const store = Store.open(dataDir);
    const [first, second] = admin.organisations();
    return new Tenants(
      system,
      a,
      b,
      grants,
      store,
      new Authorities(store),
      { a: first!.id, b: second!.id },
      () => echo.asked,
      async () => {
        store.close();
        await system[Symbol.asyncDispose]();
        await echo[Symbol.asyncDispose]();
      },
    );
  }

  /** A leaf that an authority of A's own has signed. */
  async leaf(
    purpose: "relay-client" | "gateway-client",
    subject: Name,
    json: Record<string, unknown> = {},
  ) {
    const authority = this.authorities.x509(this.ids.a, purpose);
    const key = await generateKey(authority.keyType);
    const certificate = await issueLeaf({
      subject,
      key,
      keyType: authority.keyType,
      now: new Date(),
      life: HOUR,
      usage: "client",
      json,
    }, authority);
    return { clientCertificate: certificate, clientPrivateKey: keyToPem(key) };
  }

  /** Whether a word comes back through these certificates. */
  async gets(grant: Connection): Promise<boolean> {
    try {
      const stream = await this.system.stream(grant);
      const answer = await this.system.echo(stream);
      stream.destroy();
      return answer !== "";
    } catch {
      return false;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

Deno.test("each organisation reaches its own gateway, though both have the same name", async () => {
  await using there = await Tenants.start();
  const { a, b, grants } = there;
  assert.notEqual(a.id, b.id);
  assert.deepEqual([grants.a.gatewayId, grants.b.gatewayId], [a.id, b.id]);
  assert.equal(await there.gets(grants.a), true);
  assert.equal(await there.gets(grants.b), true);
});

Deno.test("the platform grants no way to another organisation's gateway, by its id or by guessing", async () => {
  await using there = await Tenants.start();
  const { b, system } = there;
  const mallory = system.platform.as("mallory-2", ["client"], A);
  const guesses = [
    b.id,
    b.id.toUpperCase(),
    ` ${b.id}`,
    `{${b.id}}`,
    `${B}/edge`,
    "00000000-0000-0000-0000-000000000000",
    "%",
    "' OR '1'='1",
  ];
  for (const gateway of guesses) {
    await assert.rejects(
      mallory.openConnection({ gateway, targetHost: "db", targetPort: 1 }),
      { code: "api-not-found" },
      gateway,
    );
  }
});

Deno.test("certificates of one connection do not open another: parts are mixed in every way", async () => {
  using log = captureLog("warn");
  await using there = await Tenants.start();
  const { grants: { a, b } } = there;
  const before = there.reached();
  const insideB = { ...a.gateway, serverCertificateChain: b.gateway.serverCertificateChain };
  const insideA = { ...b.gateway, serverCertificateChain: a.gateway.serverCertificateChain };
  // Even with B's way to the relay (a leak at the platform, or a hostile relay), B's gateway refuses.
  assert.equal(await there.gets({ ...b, gateway: a.gateway }), false);
  assert.equal(await there.gets({ ...b, gateway: insideB }), false);
  await log.line(/channel \S+ failed: .*client certificate refused/);
  assert.equal(await there.gets({ ...a, gateway: b.gateway }), false);
  assert.equal(await there.gets({ ...a, gateway: insideA }), false);
  const noKey = { ...b.relay, clientPrivateKey: a.relay.clientPrivateKey };
  assert.equal(await there.gets({ ...b, relay: noKey }), false);
  // Inside out: the certificate for the gateway at the relay, and the other way round.
  const atRelay = { ...b.relay, ...a.gateway };
  const serverCertificateChain = b.relay.serverCertificateChain;
  assert.equal(
    await there.gets({ ...b, relay: { ...atRelay, serverCertificateChain } }),
    false,
  );
  const atGateway = { ...b.relay, serverCertificateChain: b.gateway.serverCertificateChain };
  assert.equal(await there.gets({ ...b, gateway: atGateway }), false);
  assert.equal(there.reached(), before);
});

Deno.test("a certificate of A's own relay authority with B's id in it is refused by the instance relay", async () => {
  using log = captureLog("info");
  await using there = await Tenants.start();
  const { b, grants, ids } = there;
  for (const organisation of [ids.a, ids.b]) {
    const leaf = await there.leaf("relay-client", [
      ["O", `${B}-${organisation}`],
      ["OU", "relay-client"],
      ["CN", b.id],
    ], { [OID.gateway]: { name: "edge" } });
    const relay = { ...grants.b.relay, ...leaf };
    assert.equal(await there.gets({ ...grants.b, relay }), false);
  }
  await log.line(/a client's certificate is refused/);
  assert.equal(there.reached(), 0);
});

Deno.test("a certificate of A's own gateway authority with B's ids in it is refused by B's gateway", async () => {
  using log = captureLog("warn");
  await using there = await Tenants.start();
  const { b, grants, ids } = there;
  const { serverCertificateChain } = grants.b.gateway;
  for (const actor of ["user:bob", `platform:${b.id}`]) {
    const leaf = await there.leaf("gateway-client", [
      ["O", ids.b],
      ["OU", "gateway-client"],
      ["CN", actor],
    ], {
      [OID.target]: { targetHost: "127.0.49.30", targetPort: 1 },
      [OID.actor]: { type: actor.split(":")[0], id: "bob" },
    });
    // B's own chain behind the leaf changes nothing.
    for (const more of ["", serverCertificateChain]) {
      const certificate = `${leaf.clientCertificate.trim()}\n${more}`;
      const gateway = { ...leaf, clientCertificate: certificate, serverCertificateChain };
      assert.equal(await there.gets({ ...grants.b, gateway }), false);
    }
  }
  await log.line(/client certificate refused/);
  assert.equal(there.reached(), 0);
});

Deno.test("A's gateway cannot join the relay as B's: with its own certificate, B's name, or a forged one", async () => {
  using log = captureLog("info");
  await using there = await Tenants.start();
  const { a, b, system, authorities, ids } = there;
  const registration = await system.platform.as("edge-2", ["gateway"], A)
    .registerGateway({ name: "edge-2", relayName: "r1" });
  const taken = system.relay.registry.get(b.id);
  for (const user of [b.id, b.id.toUpperCase(), a.id, "edge", "edge-2", "", `${b.id}\0`]) {
    await assert.rejects(system.join(registration, { user }), /./, user);
  }
  await log.line(/gateway at .* refused: user certificate "client-r1" is for/);
  const key = await generateKey("ecdsa");
  const { blob } = issueSshCertificate({
    certType: "user",
    publicKey: key,
    authorityKey: authorities.ssh(ids.a, "ssh-user"),
    keyId: "client-r1",
    principals: [b.id, "edge"],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
  });
  const ssh = {
    ...registration.ssh,
    clientCertificate: formatAuthorizedKey(blob),
    clientPrivateKey: formatPrivateKey(key),
  };
  await assert.rejects(system.join({ ...registration, gatewayId: b.id, ssh }));
  assert.equal(system.relay.registry.get(b.id), taken);
  // What B's clients open still comes to B.
  assert.equal(await there.gets(there.grants.b), true);
});

Deno.test("A can neither take B's gateway at the platform nor pass for the instance's relay", async () => {
  await using there = await Tenants.start();
  const { b, system: { platform } } = there;
  const gateway = platform.as("edge-3", ["gateway"], A);
  const registered = await gateway.registerGateway({ name: "edge-3", relayName: "r1" });
  assert.notEqual(registered.gatewayId, b.id);
  await assert.rejects(gateway.registerGateway({ name: b.id, relayName: "r1" }), {
    code: "api-rejected",
  });
  const relay = platform.as("relay", ["relay"], A);
  const place = { name: "r1", host: "127.0.49.31" };
  await assert.rejects(relay.registerRelay({ type: "instance", ...place }), {
    code: "credentials-refused",
  });
  // A relay of its own under the same name is A's alone: B's gateways are still sent to the instance's.
  await relay.registerRelay({ type: "org", ...place });
  const bobs = await platform.as("bobs", ["gateway"], B)
    .registerGateway({ name: "new", relayName: "r1" });
  assert.doesNotMatch(bobs.relayHost, /127\.0\.49\.31/);
});

Deno.test("a gateway is not led to its own health address by a granted connection", async () => {
  using log = captureLog("warn");
  await using there = await Tenants.start();
  const { system } = there;
  const gateway = await system.gateway("healthy", A, { healthListen: "127.0.49.32:0" });
  const [targetHost, port] = gateway.healthAddress!.split(":");
  const grant = await system.platform.as("m", ["client"], A)
    .openConnection({ gateway: "healthy", targetHost: targetHost!, targetPort: Number(port) });
  assert.equal(await there.gets(grant), false);
  await log.line(/is refused because the gateway's own health address always is; user \S+ asked/);
  assert.equal(gateway.state.snapshot.channels.refused, 1);
});

Deno.test("a gateway's audit file names the identity that the platform granted the connection to", async () => {
  await using there = await Tenants.start();
  await using folder = await temporaryFolder();
  const { system } = there;
  const path = `${folder.path}/audit.jsonl`;
  const audit = { path, size: 1e6, keep: 1 };
  const gateway = await system.gateway("recorded", A, { audit });
  const { id } = system.platform.admin.createIdentity({
    name: "ada",
    roles: ["client"],
    organisation: A,
  });
  const { token } = system.platform.admin.createIdentityToken({ identity: id });
  const grant = await system.platform.api(token)
    .openConnection({ gateway: "recorded", targetHost: "127.0.49.33", targetPort: 1 });
  assert.equal(await there.gets(grant), false);
  await gateway.stop();
  const lines = (await readFile(path, "utf8")).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ event }) => event), ["open", "close"]);
  for (const { actor, target, serial } of lines) {
    assert.deepEqual(actor, { type: "user", id, name: "ada" });
    assert.equal(target, "127.0.49.33:1");
    assert.equal(serial, readX509Pem(grant.gateway.clientCertificate).serial);
  }
  assert.equal(lines[1].reason, "target-unreachable");
});
