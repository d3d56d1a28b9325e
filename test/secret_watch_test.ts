import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { runChild } from "./child.ts";
import { ROOT } from "./requirements.ts";
import { findLeaks, WATCH } from "./secret_watch.ts";
import { temporaryFolder } from "./temporary.ts";

/** Runs a test file of one test as scripts/test.ts does, and gives what is found. */
async function leaksOf(body: string) {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "leak_test.ts");
  const at = (path: string) => JSON.stringify(join(ROOT, path));
  await writeFile(
    file,
    `import { logger } from ${at("src/log.ts")};
     import { captureLog } from ${at("test/captured_log.ts")};
     import { noteSecret } from ${at("test/secret_watch.ts")};
     Deno.test("leaks", async () => { ${body} });`,
  );
  const preload = join(ROOT, "test", "secret_preload.ts");
  const config = join(ROOT, "deno.json");
  const { status, out, err } = await runChild(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--config", config, "--preload", preload, file],
    env: { [WATCH]: folder.path, NO_COLOR: "1" },
  });
  assert.equal(status, 0, out + err);
  return findLeaks(folder.path, [out, err]);
}

const SECRET = "s3cr3t-made-by-a-test";
const ANSWER = `{ "accessToken": "${SECRET}" }`;

Deno.test("a secret that is printed is found, and named", async () => {
  const { secrets, leaks } = await leaksOf(`
    noteSecret("the cellar's key", "${SECRET}");
    noteSecret("another one", "n0t-printed-anywhere");
    console.log("open with ${SECRET} now");`);
  assert.equal(secrets, 2);
  assert.deepEqual(leaks, [{ name: "the cellar's key", line: "open with [HERE] now" }]);
});

for (
  const [how, log] of [
    ["a log that nobody reads", ""],
    ["a log that a test reads", `using log = captureLog("debug");`],
  ] as const
) {
  Deno.test(`a token of a platform's answer is found in ${how}`, async () => {
    const { leaks } = await leaksOf(`
      ${log}
      const server = Deno.serve({ port: 0, onListen() {} }, () => Response.json(${ANSWER}));
      const { accessToken } = await (await fetch("http://127.0.0.1:" + server.addr.port)).json();
      await server.shutdown();
      logger("enroll").debug("logged in: {accessToken}", { accessToken });`);
    assert.deepEqual(leaks.map(({ name }) => name), ["accessToken of a call of /"]);
    assert.match(leaks[0]!.line, /logged in: \[HERE\]/);
  });
}

Deno.test("nothing is found where a secret was kept", async () => {
  assert.deepEqual(await leaksOf(`noteSecret("kept", "${SECRET}"); logger("link").info("up");`), {
    secrets: 1,
    leaks: [],
  });
});

Deno.test("without the script nothing is noted", () => {
  if (process.env[WATCH] === undefined) assert.equal(findLeaks("/no/such/folder", []).secrets, 0);
});
