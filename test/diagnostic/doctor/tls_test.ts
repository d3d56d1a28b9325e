/** The platform's certificate: public, private, opened on the way, expired, or of another name. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import type { CheckResult } from "../../../src/diagnostic/doctor/check.ts";
import { platformTls } from "../../../src/diagnostic/doctor/checks/platform_tls.ts";
import { diagnose } from "../../../src/diagnostic/doctor/run.ts";
import { generateKey, keyToPem } from "../../../src/platform/keys.ts";
import { issueAuthority, issueLeaf, type X509Authority } from "../../../src/platform/x509_issue.ts";
import { runChild } from "../../child.ts";
import { ROOT } from "../../requirements.ts";
import { temporaryFolder } from "../../temporary.ts";
import { examine, gatewayToken, HOST, prepare } from "./fixture.ts";

const DAY = 24 * 60 * 60_000;

async function authority(name: string, parent?: X509Authority): Promise<X509Authority> {
  const key = await generateKey("ecdsa");
  const certificate = await issueAuthority({
    subject: [["CN", name], ["O", "Example Corp"]],
    key,
    keyType: "ecdsa",
    now: new Date(),
    parent,
  });
  return { keyType: "ecdsa", key, certificate };
}

/** A TLS server with a leaf of `issuer`; `chain` is sent along. */
async function server(
  issuer: X509Authority,
  { host = HOST, now = new Date(), chain = "" }: { host?: string; now?: Date; chain?: string } = {},
) {
  const key = await generateKey("ecdsa");
  const certificate = await issueLeaf({
    subject: [["CN", host]],
    key,
    keyType: "ecdsa",
    usage: "server",
    hosts: [host],
    life: DAY,
    now,
  }, issuer);
  const listening = createServer({ cert: certificate + chain, key: keyToPem(key) }, (socket) => {
    socket.on("error", () => {}).resume();
  });
  listening.listen(0, HOST);
  await once(listening, "listening");
  const domain = `https://${HOST}:${(listening.address() as AddressInfo).port}`;
  return {
    domain,
    async [Symbol.asyncDispose]() {
      const closed = once(listening, "close");
      listening.close();
      await closed;
    },
  };
}

/** The one check, with public authorities of the test's own. */
async function look(
  domain: string,
  { publicAuthorities, caFile, now }: {
    publicAuthorities?: string[];
    caFile?: string;
    now?: () => number;
  } = {},
): Promise<CheckResult> {
  const [result] = await diagnose({
    name: "edge-1",
    domain,
    auth: () => assert.fail("nobody logs in"),
    caFile,
    publicAuthorities,
    stateDir: "/nonexistent",
    healthListen: "off",
    login: "no",
    env: {},
    timeout: 5_000,
    now,
    services: [],
    host: { run: () => assert.fail("no program is run") },
  }, { checks: [{ ...platformTls, needs: [] }] });
  return result!;
}

Deno.test("a certificate of a public authority is well, and its issuer is named", async () => {
  const root = await authority("Public Root");
  await using platform = await server(root);
  const found = await look(platform.domain, { publicAuthorities: [root.certificate] });
  assert.equal(found.status, "pass", found.finding);
  assert.match(
    found.finding,
    /issued by Public Root \(Example Corp\), a public authority; it holds/,
  );
});

Deno.test("an unknown authority is taken for one that opens TLS, and named; --ca-file cures", async () => {
  const root = await authority("Corp Root");
  const between = await authority("Corp Proxy", root);
  await using folder = await temporaryFolder();
  await using platform = await server(between, { chain: `\n${between.certificate}` });
  const found = await look(platform.domain);
  assert.deepEqual([found.status, found.code], ["fail", "api-unreachable"]);
  assert.match(
    found.finding,
    /issued by Corp Proxy \(Example Corp\), and its authority "Corp Root/,
  );
  assert.match(found.finding, /seems to open TLS/);
  assert.match(found.remedy!, /"Corp Root \(Example Corp\)" \(PEM\).*--ca-file FILE/);
  const caFile = join(folder.path, "root.pem");
  await writeFile(caFile, root.certificate);
  const cured = await look(platform.domain, { caFile });
  assert.equal(cured.status, "pass", cured.finding);
  assert.match(cured.finding, /--ca-file vouches for/);
  const other = join(folder.path, "other.pem");
  await writeFile(other, (await authority("Other")).certificate);
  const wrong = await look(platform.domain, { caFile: other });
  assert.match(wrong.finding, /nor in .*other\.pem/);
  const missing = await look(platform.domain, { caFile: join(folder.path, "missing.pem") });
  assert.deepEqual([missing.status, missing.code], ["fail", "file"]);
});

Deno.test("an expired certificate, one of tomorrow and one of another name are told apart", async () => {
  const root = await authority("Public Root");
  const trust = { publicAuthorities: [root.certificate] };
  await using expired = await server(root, { now: new Date(Date.now() - 3 * DAY) });
  const old = await look(expired.domain, trust);
  assert.match(old.finding, /expired at .*issued by Public Root/);
  assert.match(old.remedy!, /clock says 20.*must renew/);
  await using young = await server(root, { now: new Date(Date.now() + DAY) });
  assert.match((await look(young.domain, trust)).finding, /does not hold before/);
  await using stranger = await server(root, { host: "portal.example" });
  const other = await look(stranger.domain, trust);
  assert.match(other.finding, /is for .*portal\.example.*, not for 127\.0\.47\.1/);
  assert.equal(other.status, "fail");
});

Deno.test("our platform over https: with its authority all is well, without it TLS fails", async () => {
  await using ground = await prepare({ tlsHost: HOST });
  const token = ["--token", gatewayToken(ground.admin, ground.secrets)];
  const well = await examine([...ground.arguments, ...token, "--ca-file", ground.caFile]);
  assert.equal(well.of("platform-tls").status, "pass", well.text);
  assert.equal(well.of("round-trip").status, "pass", well.text);
  assert.equal(well.status, 0);
  const without = await examine([...ground.arguments, ...token]);
  assert.equal(without.of("platform-tls").status, "fail", without.text);
  assert.match(without.of("api").finding, /TLS/);
  assert.equal(without.status, 1);
});

// What a system trusts is read once a process: this takes one of its own.
Deno.test("an authority that the system's store has and Mozilla has not is a warning", async () => {
  const root = await authority("Corp Root");
  await using folder = await temporaryFolder();
  await using platform = await server(root);
  const store = join(folder.path, "store.pem");
  await writeFile(store, root.certificate);
  const { out, err } = await runChild(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts"), "doctor"],
      ...["edge-1", "--json", "--domain", platform.domain, "--token", "nobody-s-token"],
      // The variable counts as --ca-file as well, unless that is given.
      ...["--ca-file", await otherAuthority(folder.path), "--timeout", "3s"],
    ],
    env: { SSL_CERT_FILE: store },
  });
  const { checks } = JSON.parse(out) as { checks: CheckResult[] };
  const found = checks.find(({ id }) => id === "platform-tls")!;
  assert.equal(found.status, "warn", out + err);
  assert.match(found.finding, /issued by Corp Root .*this system's store has.*seems to open TLS/);
});

async function otherAuthority(folder: string): Promise<string> {
  const path = join(folder, "other.pem");
  await writeFile(path, (await authority("Other")).certificate);
  return path;
}
