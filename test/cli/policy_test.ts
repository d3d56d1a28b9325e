/** `sallyport gateway policy test`, and the policy's settings wherever they come from. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { cli } from "./run.ts";
import { temporaryFolder } from "../temporary.ts";

async function test(args: string[], env: Record<string, string> = {}) {
  return await cli(["gateway", "policy", "test", ...args], { env });
}

Deno.test("the decision is explained, and the exit status tells it", async () => {
  assert.deepEqual(await test(["10.0.0.1:5432"]), {
    status: 0,
    out: "10.0.0.1:5432 is allowed because no rule speaks of it\n",
    err: "",
  });
  assert.deepEqual(await test(["[::ffff:169.254.169.254]:80"]), {
    status: 1,
    out: "[::ffff:169.254.169.254]:80 is refused because cloud metadata addresses always are\n",
    err: "",
  });
});

Deno.test("a name's addresses are all judged, and health is known from its own flag", async () => {
  const { status, out } = await test(["localhost:7777", "--health-listen", "127.0.0.1:7777"]);
  assert.match(out, /127\.0\.0\.1:7777 is refused because the gateway's own health address always/);
  assert.equal(status, out.includes("allowed") ? 0 : 1);
});

Deno.test("--allow and --deny may be repeated, have commas, and come from variable and file", async () => {
  const flags = ["10.0.0.9:5", "--allow", "10.0.0.8", "--allow=10.0.0.9:1-4,10.0.0.0/24:5"];
  assert.match((await test(flags)).out, /allowed by --allow 10\.0\.0\.0\/24:5/);
  const denied = [...flags, "--deny", "192.0.2.1", "--deny", "*:5"];
  assert.match((await test(denied)).out, /refused by --deny \*:5/);
  const byVariable = await test(["10.0.0.9:5"], { SALLYPORT_ALLOW: "10.0.0.8,10.0.0.7" });
  assert.match(byVariable.out, /refused because no --allow covers it/);
  await using folder = await temporaryFolder();
  const path = `${folder.path}/gateway.json`;
  for (const deny of [["192.0.2.1", "10.0.0.9"], "192.0.2.1,10.0.0.9"]) {
    await writeFile(path, JSON.stringify({ name: "edge", token: "x", deny }), { mode: 0o600 });
    const byFile = await test(["10.0.0.9:5", "--config", path]);
    assert.match(byFile.out, /refused by --deny 10\.0\.0\.9/);
  }
  await writeFile(path, JSON.stringify({ name: ["edge"] }));
  assert.match(
    (await test(["a:1", "--config", path])).err,
    /"name" has a value of a kind that it cannot have: a list/,
  );
});

Deno.test("a rule that makes no sense is told before anything runs", async () => {
  const { status, err } = await test(["10.0.0.1:1", "--deny", "10.0.0.1/8"]);
  assert.equal(status, 2);
  assert.match(err, /--deny: "10\.0\.0\.1\/8": its address goes on behind the prefix/);
});

Deno.test("a name without an address is told", async () => {
  const { status, err } = await test(["nowhere.invalid:1"]);
  assert.equal(status, 5);
  assert.match(err, /nowhere\.invalid: no address is known for this name/);
});
