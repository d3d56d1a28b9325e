/** What code inside the compiled binary can do once the program has started, beside what it could before. */
import assert from "node:assert/strict";
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { compile } from "../../scripts/compile.ts";
import { type Child, runChild, startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { denortPath, requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { BINARY, build } from "./built_binary.ts";
import type { InsideContext, InsideReport } from "./inside.ts";

const { ignore } = requirement("denort");
const HOST = "127.0.0.1";

/** The program's own bundle, and inside.ts before it, compiled with the program's own rights. */
async function infested(folder: string): Promise<string> {
  await build();
  const bundle = join(folder, "bundle");
  await cp(join(ROOT, "dist", "bundle"), bundle, { recursive: true });
  await cp(join(ROOT, "test", "program", "inside.ts"), join(bundle, "inside.ts"));
  await writeFile(
    join(bundle, "infested.ts"),
    `await import("./inside.ts");\nawait import("./main.js");\n`,
  );
  const binary = join(folder, "sallyport");
  const runtime = await denortPath();
  assert.ok(await compile(join(bundle, "infested.ts"), binary, { runtime }));
  return binary;
}

function reports(child: Child): InsideReport[] {
  return child.log.split("\n").filter((line) => line.startsWith("INSIDE "))
    .map((line) => JSON.parse(line.replace(/^INSIDE \d+ /, "")));
}

/** Before the program: the attempts are ones that this user can make. After its start: none succeeds. */
async function compare(child: Child, started: RegExp): Promise<void> {
  await child.line(started);
  const [before] = reports(child);
  child.kill("SIGUSR2");
  await child.line(/^INSIDE 1 /);
  const after = reports(child).at(-1)!;
  const mayReadShadow = process.getuid?.() === 0;
  for (const group of ["reading", "writing", "running"] as const) {
    const refused = before![group].refused.filter((why) => mayReadShadow || !/shadow/.test(why));
    // /proc is refused to every binary without --allow-all.
    assert.deepEqual(refused.filter((why) => !/\/proc/.test(why)), [], `${group}, before`);
    assert.deepEqual(after[group].done, [], `${group}, after`);
  }
  assert.deepEqual(after.never.done, [], "never");
  assert.deepEqual(after.asking.done, [], "asking");
  assert.deepEqual(after.own.refused, [], "own");
}

Deno.test({
  name: "from inside a binary that has started: files outside its folder, programs, more rights",
  ignore,
  async fn(t) {
    await using folder = await temporaryFolder();
    const binary = await infested(folder.path);
    const outside = join(folder.path, "outside");
    await mkdir(outside);
    const secret = join(outside, "secret");
    await writeFile(secret, "a secret of somebody else");
    for (const time of [0, 1]) await writeFile(`${secret}.${time}.json`, "{}");
    const token = join(folder.path, "token");
    await writeFile(token, "a-token", { mode: 0o600 });
    const config = join(folder.path, "sallyport.yaml");
    const log = join(folder.path, "log");
    const inside = (state: string): Record<string, string> => ({
      HOME: folder.path,
      INSIDE: JSON.stringify({ secret, outside, state } satisfies InsideContext),
      INFISICAL_TOKEN: "a-token-in-the-environment",
    });
    const nobody = await freePort(HOST);

    await t.step("a gateway", async () => {
      const state = join(folder.path, "state");
      await mkdir(state, { mode: 0o700 });
      await writeFile(config, "log-level: info\n");
      await using child = startChild(binary, {
        args: [
          ...["gateway", "start", "edge", "--token", `@${token}`, "--config", config],
          ...["--domain", `http://${HOST}:${nobody}`, "--state-dir", state],
          ...["--health-listen", `unix:${join(folder.path, "health.sock")}`],
          ...["--audit-file", join(folder.path, "audit")],
        ],
        env: inside(state),
        clearEnv: true,
      });
      await compare(child, /trying again/);
      // What it had the use of, it has still: its configuration, and no other place for its log.
      await writeFile(config, "log-level: debug\n");
      child.kill("SIGHUP");
      await child.line(/configuration read again/);
      await writeFile(config, `log-file: ${log}\n`);
      child.kill("SIGHUP");
      assert.match(await child.line(/not read again/), /it takes a new start to write there/);
      child.kill("SIGTERM");
      assert.equal(await child.status, 0, child.log);
      assert.deepEqual((await readdir(folder.path)).filter((name) => /sock|log$/.test(name)), []);
    });

    await t.step("a platform", async () => {
      const data = join(folder.path, "data");
      const options = { env: { ...inside(data), SALLYPORT_PLATFORM_DATA: data }, clearEnv: true };
      const { status, err } = await runChild(BINARY, { args: ["platform", "init"], ...options });
      assert.equal(status, 0, err);
      const listen = `${HOST}:${await freePort(HOST)}`;
      await using child = startChild(binary, {
        args: ["platform", "start", "--listen", listen],
        ...options,
      });
      await compare(child, /serves http/);
    });
  },
});
