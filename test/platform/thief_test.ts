/** What a thief of the platform's disk finds, and what one who changes the database gains. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createPrivateKey } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { parsePrivateKey } from "../../src/certificates/ssh_key.ts";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import { KEY_TYPES } from "../../src/platform/keys.ts";
import { Authorities, type Purpose } from "../../src/platform/authorities.ts";
import { Store } from "../../src/platform/store.ts";
import { cli } from "../cli/run.ts";
import { temporaryFolder } from "../temporary.ts";
import { platform, type PlatformFixture } from "./fixture.ts";

const listen = { host: "127.0.73.1", port: 0 };

/** Every way in which a secret could stand in a file. */
function formsOf(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret);
  return [
    bytes,
    ...(["hex", "base64", "base64url"] as const).map((as) => Buffer.from(bytes.toString(as))),
    Buffer.from(bytes.toString("hex").toUpperCase()),
  ];
}

/** A private key as PKCS#8, as PEM's lines, and the numbers that it is made of. */
function partsOf(pem: string): Uint8Array[] {
  const key = pem.includes("OPENSSH") ? parsePrivateKey(pem) : createPrivateKey(pem);
  const { d, p, q } = key.export({ format: "jwk" }) as Record<string, string | undefined>;
  return [
    key.export({ format: "der", type: "pkcs8" }),
    ...pem.split("\n").filter((line) => line.length > 30 && !line.startsWith("-"))
      // The begin of such a key is the same for all.
      .slice(2).map((line) => Buffer.from(line)),
    ...[d, p, q].filter((part) => part !== undefined).map((part) => Buffer.from(part, "base64url")),
  ];
}

/** Has everything done that makes a secret. Gives the secrets by names. */
async function everySecret(p: PlatformFixture): Promise<Map<string, Uint8Array[]>> {
  const secrets = new Map<string, Uint8Array[]>();
  const text = (name: string, secret: string) =>
    // What stands before the last part are words, and the id that finds the row.
    secrets.set(name, [Buffer.from(secret), Buffer.from(secret.slice(-43), "base64url")]);
  const key = (name: string, pem: string) => secrets.set(name, partsOf(pem));
  const { admin } = p;
  await admin.createOrganisation({ name: "second" });
  const organisation = "default";
  const { clientId, clientSecret } = admin.createIdentity({
    ...{ name: "all", organisation },
    roles: ["gateway", "relay", "client"],
  });
  text("relay secret", p.relaySecret);
  text("client secret", clientSecret);
  text("access token", admin.createIdentityToken({ identity: "all" }).token);
  text("rotated client secret", admin.rotateIdentity({ identity: "all" }).clientSecret);
  const rotated = admin.rotateIdentity({ identity: "all" }).clientSecret;
  const { accessToken } = await p.api().login({ clientId, clientSecret: rotated });
  text("login", accessToken);
  await p.api().renewToken(accessToken);
  const api = p.api(accessToken);
  const relay = await api.registerRelay({ type: "org", name: "r1", host: "127.0.73.2" });
  key("relay's TLS key", relay.pki.serverPrivateKey);
  key("relay's SSH key", relay.ssh.serverPrivateKey);
  const gateway = await api.registerGateway({ name: "g1", relayName: "r1" });
  key("gateway's TLS key", gateway.pki.serverPrivateKey);
  key("gateway's SSH key", gateway.ssh.clientPrivateKey);
  for (const kind of ["gateway", "relay"] as const) {
    const oneTime = kind === "gateway"
      ? admin.createGatewayToken({ gateway: "g2", organisation }).token
      : admin.createRelayToken({ relay: "r2", organisation }).token;
    text(`${kind}'s enrolment token`, oneTime);
    const own = kind === "gateway"
      ? await p.api().enrolGateway(oneTime)
      : await p.api().enrolRelay(oneTime);
    text(`${kind}'s own token`, own.accessToken);
  }
  const target = { gateway: "g1", targetHost: "db", targetPort: 5432 };
  const grant = await api.openConnection(target);
  key("client's key to the relay", grant.relay.clientPrivateKey);
  key("client's key to the gateway", grant.gateway.clientPrivateKey);
  for (const [name, pem] of authorityKeys(p.dataDir)) key(name, pem);
  secrets.set("key file", [await readFile(join(p.dataDir, "platform.key"))]);
  return secrets;
}

/** The private keys of all authorities, opened as the platform does. */
function authorityKeys(dataDir: string): Map<string, string> {
  const store = Store.open(dataDir);
  try {
    const authorities = new Authorities(store);
    const keys = new Map<string, string>();
    for (const row of store.all("SELECT organisation_id AS o, purpose FROM authority")) {
      const organisation = row.o as string | null;
      const purpose = row.purpose as Purpose;
      const { key } = authorities.x509(organisation, purpose);
      const pem = key.export({ format: "pem", type: "pkcs8" }) as string;
      keys.set(`authority ${organisation} ${purpose}`, pem);
    }
    return keys;
  } finally {
    store.close();
  }
}

for (const keyType of KEY_TYPES) {
  Deno.test(`who steals the database and its log, but not the key file, finds no secret: ${keyType}`, async () => {
    await using p = await platform({ keyType, listen });
    const secrets = await everySecret(p);
    assert.ok(secrets.size > 30, String(secrets.size));
    const names = (await readdir(p.dataDir)).filter((name) => name !== "platform.key");
    assert.ok(names.includes("platform.db-wal"), names.join());
    const stolen = Buffer.concat(
      await Promise.all(names.map((name) => readFile(join(p.dataDir, name)))),
    );
    for (const [name, parts] of secrets) {
      for (const form of parts.flatMap(formsOf)) {
        assert.ok(!stolen.includes(form), `${name} is in the database`);
      }
    }
    assert.ok(!stolen.includes("PRIVATE KEY"));
    // The search itself is not blind: what is in the open is found.
    assert.ok(stolen.includes(Buffer.from("BEGIN CERTIFICATE")));
  });
}

/** Opens every authority's key; gives the codes and messages of what fails. */
function failuresOf(dataDir: string): string[] {
  const store = Store.open(dataDir);
  try {
    return store.all("SELECT organisation_id AS o, purpose FROM authority").flatMap((row) => {
      try {
        new Authorities(store).x509(row.o as string | null, row.purpose as Purpose);
        return [];
      } catch (error) {
        return [(error as Error).message];
      }
    });
  } finally {
    store.close();
  }
}

Deno.test("who moves sealed keys between rows, purposes, tenants or platforms uses none of them", async (t) => {
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, "data");
  const foreign = join(folder.path, "foreign");
  await initPlatform({ dataDir, organisation: "a" });
  await initPlatform({ dataDir: foreign, organisation: "b" });
  const admin = PlatformAdmin.open(dataDir);
  const b = (await admin.createOrganisation({ name: "b" })).id;
  const a = admin.organisations().find(({ name }) => name === "a")!.id;
  admin.close();
  const whole = await readFile(join(dataDir, "platform.db"));
  const attempt = async (what: string, change: (database: DatabaseSync) => void, said: RegExp) => {
    await t.step(what, async () => {
      await writeFile(join(dataDir, "platform.db"), whole);
      {
        using database = new DatabaseSync(join(dataDir, "platform.db"));
        change(database);
      }
      const failures = failuresOf(dataDir);
      assert.ok(failures.length > 0, "it was noticed");
      for (const message of failures) assert.match(message, said);
    });
  };
  assert.deepEqual(failuresOf(dataDir), []);
  const sealed = (database: DatabaseSync, organisation: string, purpose: string) =>
    database.prepare("SELECT * FROM authority WHERE organisation_id = ? AND purpose = ?")
      .get(organisation, purpose) as { id: string; sealed_key: Uint8Array; certificate: string };
  const put = (database: DatabaseSync, key: Uint8Array, organisation: string, purpose: string) =>
    database.prepare(
      "UPDATE authority SET sealed_key = ? WHERE organisation_id = ? AND purpose = ?",
    )
      .run(key, organisation, purpose);
  const closed = /cannot be opened/;
  await attempt("a key of one tenant in the other's row", (db) => {
    put(db, sealed(db, a, "gateway-client").sealed_key, b, "gateway-client");
  }, closed);
  await attempt("two tenants' keys exchanged", (db) => {
    const [one, two] = [sealed(db, a, "ssh-user"), sealed(db, b, "ssh-user")];
    put(db, one.sealed_key, b, "ssh-user");
    put(db, two.sealed_key, a, "ssh-user");
  }, closed);
  await attempt("a whole row given to the other tenant", (db) => {
    const { id } = sealed(db, a, "gateway-client");
    db.prepare("DELETE FROM authority WHERE organisation_id = ? AND purpose = 'gateway-client'")
      .run(b);
    db.prepare("UPDATE authority SET organisation_id = ? WHERE id = ?").run(b, id);
  }, closed);
  await attempt("a whole row given to the instance", (db) => {
    const { id } = sealed(db, a, "relay-client");
    db.exec("DELETE FROM authority WHERE organisation_id IS NULL AND purpose = 'relay-client'");
    db.prepare("UPDATE authority SET organisation_id = NULL WHERE id = ?").run(id);
  }, closed);
  await attempt("a client's authority made a server's", (db) => {
    put(db, sealed(db, a, "gateway-client").sealed_key, a, "gateway-server");
  }, closed);
  await attempt("another row's id", (db) => {
    const { id } = sealed(db, a, "ssh-host");
    db.prepare("UPDATE authority SET id = ? WHERE id = ?").run(id.replace(/.$/, "x"), id);
  }, closed);
  await attempt("a key of another platform", (db) => {
    using other = new DatabaseSync(join(foreign, "platform.db"));
    const row = other.prepare(
      "SELECT sealed_key FROM authority WHERE purpose = 'ssh-user' AND organisation_id IS NOT NULL",
    ).get() as { sealed_key: Uint8Array };
    put(db, row.sealed_key, a, "ssh-user");
  }, closed);
  await attempt("a certificate of the thief's own authority", (db) => {
    const { certificate } = sealed(db, b, "gateway-client");
    db.prepare(
      "UPDATE authority SET certificate = ? WHERE organisation_id = ? AND purpose = 'gateway-client'",
    ).run(certificate, a);
  }, /certificate of the authority gateway-client is not its key's/);
});

Deno.test({
  name:
    "a key file on another disk: who takes the folder takes no key, and without it nothing opens",
  ignore: process.platform === "win32",
  async fn() {
    await using folder = await temporaryFolder();
    const [data, disk] = [join(folder.path, "data"), join(folder.path, "disk")];
    const key = join(disk, "platform.key");
    const init = ["platform", "init", "--data", data, "--key-file", key];
    const early = await cli(init);
    assert.deepEqual([early.status, await readdir(data)], [6, []], early.err);
    assert.match(early.err, /cannot write \S+platform\.key/);
    await mkdir(disk);
    assert.equal((await cli(init)).status, 0);
    assert.deepEqual(await readdir(disk), ["platform.key"]);
    assert.equal((await lstat(key)).mode & 0o777, 0o600);
    assert.ok((await lstat(join(data, "platform.key"))).isSymbolicLink());
    assert.deepEqual((await readdir(data)).sort(), ["platform.db", "platform.key"]);
    const list = () => cli(["platform", "gateways", "--data", data]);
    assert.equal((await list()).status, 0);
    const again = await cli([
      "platform",
      "init",
      "--data",
      join(folder.path, "b"),
      "--key-file",
      key,
    ]);
    assert.match(again.err, /there is a platform already: \S+disk\/platform\.key exists/);
    assert.deepEqual(await readdir(join(folder.path, "b")), []);
    await chmod(key, 0o644);
    assert.match((await list()).err, /platform\.key can be read by others \(mode 0644\)/);
    await chmod(key, 0o600);
    await rename(key, `${key}.away`);
    assert.match((await list()).err, /cannot read the key file \S+: it is missing/);
    const second = await cli([...init.slice(0, -1), join(disk, "other.key")]);
    assert.match(second.err, /there is a platform already/);
    assert.deepEqual(await readdir(disk), ["platform.key.away"]);
    await writeFile(key, Buffer.alloc(32), { mode: 0o600 });
    assert.match((await list()).err, /cannot be opened: the key file is of another data directory/);
    await rm(key);
    await rename(`${key}.away`, key);
    assert.equal((await list()).status, 0);
  },
});
