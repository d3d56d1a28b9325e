import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PlatformApi } from "../../src/enroll/api.ts";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import { startPlatform } from "../../src/platform/platform.ts";
import { Seal } from "../../src/platform/seal.ts";
import { temporaryFolder } from "../temporary.ts";
import { platform, refused } from "./fixture.ts";

async function folder() {
  const parent = await temporaryFolder();
  return {
    dataDir: join(parent.path, "data"),
    [Symbol.asyncDispose]: () => parent[Symbol.asyncDispose](),
  };
}

function start(dataDir: string, signal = new AbortController().signal) {
  return startPlatform({ dataDir, listen: { host: "127.0.70.1", port: 0 } }, signal);
}

/** Opening it for administration and starting it are refused alike. */
async function refusedToOpen(dataDir: string, message: RegExp): Promise<void> {
  await refused(() => PlatformAdmin.open(dataDir), "platform-store", message);
  await refused(() => start(dataDir), "platform-store", message);
}

Deno.test("a platform's directory and files are its owner's alone", async () => {
  await using p = await platform();
  assert.equal((await stat(p.dataDir)).mode & 0o777, 0o700);
  const names = await readdir(p.dataDir);
  assert.deepEqual(names.filter((name) => !/-(wal|shm)$/.test(name)).sort(), [
    "platform.db",
    "platform.key",
  ]);
  for (const name of names) {
    assert.equal((await stat(join(p.dataDir, name))).mode & 0o777, 0o600, name);
  }
});

Deno.test("a second init is refused and changes nothing", async () => {
  await using p = await platform();
  const before = await readFile(join(p.dataDir, "platform.key"));
  await refused(
    () => initPlatform({ dataDir: p.dataDir }),
    "platform-store",
    /there is a platform already/,
  );
  assert.deepEqual(await readFile(join(p.dataDir, "platform.key")), before);
  await p.as("edge", ["gateway"]).relays();
});

Deno.test("of two inits at once one wins, and what it made works", async () => {
  await using f = await folder();
  const { dataDir } = f;
  const results = await Promise.allSettled([1, 2, 3].map(() => initPlatform({ dataDir })));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  PlatformAdmin.open(dataDir).close();
  assert.deepEqual((await readdir(dataDir)).sort(), ["platform.db", "platform.key"]);
});

Deno.test("a directory that others can enter is refused", async () => {
  await using f = await folder();
  await mkdir(f.dataDir);
  await chmod(f.dataDir, 0o755);
  await refused(() => initPlatform(f), "platform-store", /can be read by others \(mode 0755\)/);
  assert.deepEqual(await readdir(f.dataDir), []);
});

Deno.test("a directory without a platform is named, with what to do", async () => {
  await using f = await folder();
  await assert.rejects(start(f.dataDir), {
    code: "platform-store",
    hint: /sallyport platform init/,
  } as unknown as Error);
  await refusedToOpen(f.dataDir, /there is no platform in/);
  await assert.rejects(stat(f.dataDir), "nothing was made");
});

Deno.test("another key file, a short one, an open one and none are refused", async () => {
  await using one = await folder();
  await using two = await folder();
  await initPlatform(one);
  await initPlatform(two);
  const key = join(one.dataDir, "platform.key");
  const own = await readFile(key);
  await writeFile(key, await readFile(join(two.dataDir, "platform.key")));
  await refusedToOpen(one.dataDir, /cannot be opened: the key file is of another data directory/);
  await writeFile(key, own.subarray(1));
  await refusedToOpen(one.dataDir, /has 31 bytes instead of 32/);
  await writeFile(key, own);
  await chmod(key, 0o640);
  await refusedToOpen(one.dataDir, /can be read by others \(mode 0640\)/);
  await chmod(key, 0o600);
  PlatformAdmin.open(one.dataDir).close();
  await rm(key);
  await refusedToOpen(one.dataDir, /key file .* it is missing/);
});

Deno.test("a damaged, a foreign and a newer database are refused", async () => {
  await using f = await folder();
  await initPlatform(f);
  const path = join(f.dataDir, "platform.db");
  const whole = await readFile(path);
  const replace = async (content: string | Uint8Array) => {
    await writeFile(path, content);
    for (const part of ["wal", "shm"]) await rm(`${path}-${part}`, { force: true });
  };
  const middle = Uint8Array.from(whole);
  middle.fill(0xff, 4096, whole.length - 4096);
  await replace(middle);
  await refusedToOpen(f.dataDir, /cannot be used|is not a whole platform/);
  await replace("this is a text, and no database\n".repeat(200));
  await refusedToOpen(f.dataDir, /cannot be used: .*not a database/);
  await replace("");
  await refusedToOpen(f.dataDir, /is not a whole platform/);
  await replace(whole);
  {
    using database = new DatabaseSync(path);
    database.exec("INSERT INTO migration VALUES (999, 0)");
  }
  await refusedToOpen(f.dataDir, /has schema 999; this sallyport knows/);
});

Deno.test("a key that was moved to another row of the database is not used", async () => {
  await using p = await platform();
  {
    using database = new DatabaseSync(join(p.dataDir, "platform.db"));
    const sealed = database.prepare(
      "SELECT sealed_key FROM authority WHERE purpose = 'ssh-user' AND organisation_id IS NOT NULL",
    ).get()!.sealed_key as Uint8Array;
    database.prepare(
      "UPDATE authority SET sealed_key = ? WHERE purpose = 'ssh-host' AND organisation_id IS NOT NULL",
    ).run(sealed);
  }
  const relay = p.as("relay", ["relay"]);
  await refused(
    () => relay.registerRelay({ type: "org", name: "r1", host: "127.0.70.2" }),
    "api-status",
    /500, the platform failed/,
  );
});

Deno.test("what is sealed opens with its key, in its place, unchanged", () => {
  const seal = new Seal(new Uint8Array(32).fill(7));
  const text = new TextEncoder().encode("a private key");
  const sealed = seal.close(text, "here");
  assert.deepEqual(new Uint8Array(seal.open(sealed, "here")), text);
  assert.notDeepEqual(seal.close(text, "here"), sealed);
  assert.throws(() => seal.open(sealed, "there"), { code: "platform-store" });
  assert.throws(() => new Seal(new Uint8Array(32)).open(sealed, "here"), {
    code: "platform-store",
  });
  assert.throws(() => seal.open(sealed.subarray(0, 20), "here"), { code: "platform-store" });
  for (let i = 0; i < sealed.length; i++) {
    const changed = Uint8Array.from(sealed);
    changed[i]! ^= 1;
    assert.throws(() => seal.open(changed, "here"), { code: "platform-store" }, `byte ${i}`);
  }
});

Deno.test("no secret that was given out stands in the data directory", async () => {
  await using p = await platform();
  const { clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const { token } = p.admin.createIdentityToken({ identity: "ci" });
  const enrolment = p.admin.createGatewayToken({ gateway: "gw" }).token;
  const secrets = [clientSecret, p.relaySecret, token, enrolment].map((text) => text.slice(-43));
  for (const name of await readdir(p.dataDir)) {
    const content = (await readFile(join(p.dataDir, name))).toString("latin1");
    for (const secret of secrets) assert.ok(!content.includes(secret), name);
    assert.ok(!content.includes("PRIVATE KEY"), name);
  }
});

Deno.test("a restart keeps gateways, relays, tokens and authorities", async () => {
  await using f = await folder();
  const { dataDir } = f;
  const { relaySecret, organisation } = await initPlatform({ dataDir, organisation: "acme" });
  assert.equal(organisation.name, "acme");
  const described = { type: "instance", name: "r1", host: "127.0.70.2" } as const;
  let token = "";
  const seen: string[][] = [];
  for (let run = 0; run < 2; run++) {
    const stop = new AbortController();
    const { url, finished } = await start(dataDir, stop.signal);
    if (run === 0) {
      const admin = PlatformAdmin.open(dataDir);
      admin.createIdentity({ name: "edge", roles: ["gateway"] });
      token = admin.createIdentityToken({ identity: "edge" }).token;
      admin.close();
    }
    await new PlatformApi({ domain: url, token: () => relaySecret }).registerRelay(described);
    const { gatewayId, pki, ssh } = await new PlatformApi({ domain: url, token: () => token })
      .registerGateway({ name: "gw", relayName: "r1" });
    seen.push([gatewayId, pki.clientCertificateChain, ssh.serverCAPublicKey]);
    stop.abort();
    await finished;
  }
  assert.deepEqual(seen[1], seen[0]);
});

Deno.test("administration in another process is seen by the running platform at once", async () => {
  await using p = await platform();
  const script = `
    import { PlatformAdmin } from ${
    JSON.stringify(import.meta.resolve("../../src/platform/admin.ts"))
  };
    const admin = PlatformAdmin.open(Deno.args[0]);
    admin.createIdentity({ name: "outside", roles: ["gateway"] });
    console.log(admin.createIdentityToken({ identity: "outside" }).token);
    admin.close();
  `;
  const { stdout, success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
      `data:application/typescript,${encodeURIComponent(script)}`,
      p.dataDir,
    ],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const token = new TextDecoder().decode(stdout).trim();
  assert.deepEqual(await p.api(token).relays(), []);
  assert.deepEqual(p.admin.identities().map(({ name }) => name), ["outside"]);
});

Deno.test("stopping does not wait for clients that keep their connection open", async () => {
  await using f = await folder();
  await initPlatform(f);
  const stop = new AbortController();
  const { address, finished } = await start(f.dataDir, stop.signal);
  using idle = await Deno.connect({ hostname: address.host, port: address.port });
  await idle.write(new TextEncoder().encode("GET /api/status HTTP/1.1\r\nhost: x\r\n\r\n"));
  await idle.read(new Uint8Array(4096));
  stop.abort();
  await finished;
});
