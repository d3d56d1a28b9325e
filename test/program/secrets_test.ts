/** Where other users of a host, and the programs that sallyport runs, would see its secrets. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { placesOf } from "../../src/service/description.ts";
import { type Manifest, writeManifest } from "../../src/service/manifest.ts";
import { runChild, startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { requirement, ROOT } from "../requirements.ts";
import { service } from "../service/fake_host.ts";
import { temporaryFolder } from "../temporary.ts";
import { BINARY, build } from "./built_binary.ts";

const HOST = "127.0.75.3";
const SECRET = "a-token-that-nobody-sees";
const VARIABLES = [
  "INFISICAL_TOKEN",
  "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
  "INFISICAL_RELAY_AUTH_SECRET",
];

Deno.test({
  name: "a program in systemctl's place looks for secrets in its environment and its arguments",
  ignore: requirement("denort").ignore || process.platform !== "linux",
  async fn() {
    await build();
    await using folder = await temporaryFolder();
    const seen = join(folder.path, "seen");
    const script = `#!/bin/sh\nexport -p >${seen}\nprintf '%s\\n' "$@" >>${seen}\n`;
    for (const name of ["systemctl", "id"]) {
      await writeFile(join(folder.path, name), script);
      await chmod(join(folder.path, name), 0o755);
    }
    const env = {
      ...Object.fromEntries(VARIABLES.map((name) => [name, SECRET])),
      HTTPS_PROXY: `http://ada:${SECRET}@${HOST}:3128`,
      PATH: folder.path,
      HOME: folder.path,
      OTHER: "what-is-none-is-handed-on",
    };
    const installed = placesOf(service("systemd", { scope: "user", home: folder.path })).manifest;
    await mkdir(dirname(installed), { recursive: true });
    const manifest: Manifest = { manager: "systemd", scope: "user", files: [], folders: [] };
    await writeFile(installed, writeManifest(manifest));
    const args = ["service", "status", "edge-1", "--user"];
    const { err } = await runChild(BINARY, { args, env, clearEnv: true });
    const told = await readFile(seen, "utf8").catch(() => assert.fail(err));
    assert.match(told, /what-is-none-is-handed-on/);
    assert.match(told, /sallyport-edge-1\.service/);
    assert.doesNotMatch(told, new RegExp([SECRET, ...VARIABLES].join("|")));
  },
});

Deno.test({
  name:
    "a user who lists processes sees a token on the command line, which is warned of, and no other",
  ignore: process.platform !== "linux",
  async fn() {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "token");
    await writeFile(file, SECRET, { mode: 0o600 });
    const domain = `http://${HOST}:${await freePort(HOST)}`;
    const gateway = async (args: string[], env: Record<string, string> = {}) => {
      await using child = startChild(Deno.execPath(), {
        args: [
          ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
          ...["gateway", "start", "edge", "--health-listen", "off", "--domain", domain],
          ...["--state-dir", folder.path, ...args],
        ],
        env,
      });
      await child.line(/trying again/);
      const listed = await readFile(`/proc/${child.pid}/cmdline`, "utf8");
      return { listed: listed.includes(SECRET), log: child.log };
    };
    const open = await gateway(["--token", SECRET]);
    assert.ok(open.listed);
    assert.match(open.log, /WARN .*the secret in --token can be seen by every user of this host/);
    assert.ok(!open.log.includes(SECRET));
    for (
      const { listed, log } of [
        await gateway(["--token", `@${file}`]),
        await gateway([], { INFISICAL_TOKEN: SECRET }),
      ]
    ) {
      assert.ok(!listed);
      assert.doesNotMatch(log, /can be seen/);
    }
  },
});
