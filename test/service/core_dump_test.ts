/** What a gateway that crashes leaves of its memory. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { placesOf } from "../../src/service/description.ts";
import { planService } from "../../src/service/plan.ts";
import { type Child, runChild, startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { BINARY, build } from "../program/built_binary.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { service } from "./fake_host.ts";

const HOST = "127.0.75.2";
const SECRET = `in-memory-${crypto.randomUUID()}`;

/** Runs `command` where dumps are allowed, crashes it once it is `up`, and gives what that left. */
async function crash(
  folder: string,
  command: string[],
  up: (child: Child) => Promise<unknown>,
): Promise<{ cores: number; secrets: number }> {
  await mkdir(folder, { recursive: true });
  const words = ["-c", 'ulimit -c unlimited && cd "$1" && shift && exec "$@"', "sh", folder];
  await using child = startChild("sh", { args: [...words, ...command] });
  await up(child);
  process.kill(child.pid, "SIGABRT");
  await child.status;
  const cores = (await readdir(folder)).filter((name) => name.startsWith("core"));
  let secrets = 0;
  for (const core of cores) {
    const { out } = await runChild("grep", { args: ["-c", SECRET, join(folder, core)] });
    secrets += Number(out);
  }
  return { cores: cores.length, secrets };
}

Deno.test({
  name: "a crash of a gateway that cron's script runs leaves no dump of its memory, with its token",
  ...requirement("denort", "flock", "core-dumps"),
  async fn() {
    await build();
    await using folder = await temporaryFolder();
    const home = join(folder.path, "home");
    const described = service("cron", {
      scope: "user",
      home,
      binary: BINARY,
      settings: { domain: `http://${HOST}:${await freePort(HOST)}`, "health-listen": "off" },
      secrets: { token: SECRET },
    });
    const { state, log } = placesOf(described);
    await mkdir(state, { recursive: true });
    const files = planService(described).files;
    for (const { path, mode, text } of files) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode });
    }
    const config = files.find(({ path }) => path.endsWith(".json"))!.path;
    const bare = await crash(
      join(folder.path, "bare"),
      [BINARY, "gateway", "start", "edge-1", "--config", config],
      (child) => child.line(/trying again/),
    );
    // Without the script there is one, and it is worth having.
    assert.deepEqual([bare.cores, bare.secrets > 0], [1, true]);

    const script = files.find(({ path }) => path.endsWith(".sh"))!.path;
    const kept = await crash(join(folder.path, "kept"), ["sh", script, "watch"], async () => {
      const deadline = AbortSignal.timeout(20_000);
      while (!/trying again/.test(await readFile(log, "utf8").catch(() => ""))) {
        deadline.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    assert.deepEqual(kept, { cores: 0, secrets: 0 });
  },
});

Deno.test({
  name: "OpenRC starts its supervisor where no dump is allowed",
  ignore: process.platform === "win32",
  async fn() {
    const files = planService(service("openrc")).files;
    const { text } = files.find(({ path }) => path.startsWith("/etc/init.d/"))!;
    // It runs start_pre and the start itself in one shell.
    const script = `checkpath() { :; }\n${text.replace(/^#!.*\n/, "")}\nstart_pre\nulimit -c\n`;
    const { out, err } = await runChild("sh", { args: ["-c", script] });
    assert.deepEqual([out, err], ["0\n", ""]);
  },
});
