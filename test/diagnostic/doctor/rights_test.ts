/** Files that this user may not read or look at: said with who may. */
import assert from "node:assert/strict";
import type { Check } from "../../../src/diagnostic/doctor/check.ts";
import { credentials } from "../../../src/diagnostic/doctor/checks/credentials.ts";
import { diagnose } from "../../../src/diagnostic/doctor/run.ts";
import type { Auth } from "../../../src/enroll/credentials.ts";
import { SallyportError } from "../../../src/errors.ts";
import { runChild } from "../../child.ts";
import { ROOT } from "../../requirements.ts";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { temporaryFolder } from "../../temporary.ts";

async function look(check: Check, auth: Auth) {
  const [result] = await diagnose({
    name: "edge-1",
    domain: "http://127.0.47.1:9",
    auth: () => auth,
    stateDir: "/nonexistent",
    healthListen: "off",
    login: "no",
    env: {},
    timeout: 5_000,
    services: [],
    host: { run: () => assert.fail("no program is run") },
  }, { checks: [{ ...check, needs: [] }] });
  return result!;
}

Deno.test("a token that only root may read: run it as root", async () => {
  const cause = Object.assign(new Error("EACCES"), { code: "EACCES" });
  const found = await look(credentials, {
    method: "token",
    token: {
      kind: "file",
      where: "/etc/sallyport/token",
      read: () => Promise.reject(new SallyportError("file", "may not read it", { cause })),
    },
  });
  assert.deepEqual([found.status, found.code], ["fail", "file"]);
  assert.match(found.remedy!, /as root \(sudo\)/);
});

Deno.test({
  name: "a folder that another user may not enter is no failure of the files in it",
  // Root may enter any; so it becomes somebody else.
  ignore: process.getuid?.() !== 0,
  async fn() {
    await using folder = await temporaryFolder();
    await chmod(folder.path, 0o755);
    const closed = join(folder.path, "closed");
    await mkdir(closed, { mode: 0o700 });
    await writeFile(join(closed, "token"), "nobody-s-token", { mode: 0o600 });
    const script = join(folder.path, "look.ts");
    await writeFile(
      script,
      `import process from "node:process";
       import { runCli } from ${JSON.stringify(join(ROOT, "src", "cli", "cli.ts"))};
       process.setgid(65534);
       process.setuid(65534);
       await runCli(["doctor", "edge-1", "--json", "--domain", "http://127.0.47.1:9",
         "--token", "@${closed}/token", "--state-dir", "${closed}/state"], {
         out: console.log, err: console.error, env: { HOME: "/nonexistent" },
         signal: new AbortController().signal, onReload: () => {},
       });`,
    );
    const { out, err } = await runChild(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-all",
        "--no-check",
        "--config",
        join(ROOT, "deno.json"),
        script,
      ],
    });
    assert.ok(out.startsWith("{"), err);
    const { checks } = JSON.parse(out) as { checks: { id: string; status: string }[] };
    const files = checks.find(({ id }) => id === "files");
    assert.equal(files?.status, "skip", out);
  },
});
