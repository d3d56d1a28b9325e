/** `sallyport doctor` as a person meets it: lines, exit status, wrong usage. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli } from "./run.ts";
import { gatewayToken, prepare } from "../diagnostic/doctor/fixture.ts";
import { temporaryFolder } from "../temporary.ts";

async function doctor(args: string[], env: Record<string, string> = {}) {
  return await cli(["doctor", ...args], { env: { HOME: "/nonexistent", LANG: "C.UTF-8", ...env } });
}

Deno.test("lines come in order, each with mark, time and finding, then a summary", async () => {
  await using ground = await prepare();
  const token = gatewayToken(ground.admin, ground.secrets);
  const { status, out, err } = await doctor(["edge-1", ...ground.arguments], {
    INFISICAL_TOKEN: token,
  });
  assert.deepEqual([status, err], [0, ""], out);
  const lines = out.trimEnd().split("\n");
  assert.match(lines[0]!, /^sallyport \S+ doctor: gateway edge-1, platform http:/);
  assert.match(lines[1]!, /^✓ pass {2}platform name {6}127\.0\.47\.1 .* \(\d+ ms\)$/);
  assert.match(out, /^✓ pass {2}round trip .*\n/m);
  assert.match(out, /^– skip {2}platform TLS /m);
  assert.match(lines.at(-1)!, /^13 passed, 4 not tried$/);
  assert.ok(!out.includes("\x1b"), "no colour where there is no terminal");
  for (const secret of ground.secrets) assert.ok(!out.includes(secret));
});

Deno.test("without UTF-8 words stand alone", async () => {
  const args = ["edge-1", "--domain", "http://127.0.47.1:9", "--token", "nobody-s-token"];
  const { status, out } = await doctor(args, { LANG: "C" });
  assert.equal(status, 1);
  assert.match(out, /^fail {2}platform port {6}127\.0\.47\.1:9 refuses/m);
  assert.match(out, /^ {6}-> start the platform/m);
  assert.match(out, /^[\x20-\x7e\n]*$/);
});

Deno.test("a gateway's configuration file is read as the gateway reads it", async () => {
  await using folder = await temporaryFolder();
  const config = join(folder.path, "edge.json");
  await writeFile(
    config,
    JSON.stringify({ "domain": "http://127.0.47.1:9", "idle-timeout": "5m" }),
  );
  const { status, out } = await doctor(["edge-1", "--config", config, "--token", "nobody-s"]);
  assert.equal(status, 1);
  assert.match(out, new RegExp(`platform http://127.0.47.1:9, settings in ${config}\n`));
});

for (
  const [args, said] of [
    [[], /the gateway needs a name\n {2}sallyport doctor <name>/],
    [["edge-1", "--domain", "ftp://x"], /not an http or https URL/],
    [["edge-1", "--domain", "https://user:hunter2hunter2@x"], /must not carry a user name/],
    [["edge-1", "--login", "maybe"], /--login: it must be auto, yes or no/],
    [["edge-1", "--relay-address", "a b"], /--relay-address: it must be a host/],
    [["edge-1", "--timeout", "0"], /--timeout: it must be more than nothing/],
    [["edge-1", "--jsn"], /Did you mean --json\?\n {2}see: sallyport doctor --help/],
  ] as const
) {
  Deno.test(`"doctor ${args.join(" ")}" is wrong usage`, async () => {
    const { status, out, err } = await doctor([...args]);
    assert.equal(status, 2, err);
    assert.match(err, said);
    assert.equal(out, "");
    assert.ok(!err.includes("hunter2hunter2"));
  });
}

Deno.test("help names every setting of a gateway, and doctor's own", async () => {
  const { status, out } = await doctor(["--help"]);
  assert.equal(status, 0);
  const flags = "--token --ca-file --target-relay-name --state-dir --health-listen --config " +
    "--relay-address --login --client-token --timeout --json";
  for (const flag of flags.split(" ")) assert.ok(out.includes(flag), flag);
});
