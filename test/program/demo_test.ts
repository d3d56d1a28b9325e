import assert from "node:assert/strict";
import { runChild } from "../child.ts";
import { temporaryFolder } from "../temporary.ts";
import { ROOT } from "../requirements.ts";

Deno.test("the demonstration shows the whole system at work and ends with 0", async () => {
  await using folder = await temporaryFolder();
  const { status, out, err } = await runChild(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-check", `${ROOT}/src/main.ts`, "demo"],
    env: { TMPDIR: folder.path },
  });
  assert.equal(err, "");
  assert.equal(status, 0);
  assert.match(out, /GET .* -> {2}200 .*swordfish/);
  assert.match(out, /"is anybody there\?", end {2}-> {2}"IS ANYBODY THERE\?"/);
  assert.match(out, /SHA-256 equal/);
  for (const hop of ["client to relay", "inside the relay", "relay to gateway"]) {
    assert.match(out, new RegExp(`${hop} .*not found: ciphertext`));
  }
  assert.match(out, /gateway to target .*FOUND/);
  assert.match(out, /the tunnel is back after \d+ ms/);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), [], "left behind");
});
