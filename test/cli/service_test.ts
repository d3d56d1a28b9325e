/** `sallyport service` as a person meets it. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { cli as run } from "./run.ts";
import { temporaryFolder } from "../temporary.ts";

async function cli(args: string[], env: Record<string, string> = {}) {
  return await run(["service", ...args], { env });
}

const HERE = ["--user", "--manager", "systemd"];
const PROGRAM = ["--binary", "/usr/local/bin/sallyport"];

for (
  const [args, said, status] of [
    [["install", "a b", ...HERE, ...PROGRAM, "--token", "t"], /"a b" cannot be part of a/, 2],
    [["install", "edge", ...HERE, ...PROGRAM], /no credentials are given/, 2],
    [["install", "edge", ...HERE, "--token", "t"], /not the compiled program/, 2],
    [["install", "edge", ...HERE, "--binary", "bin/x", "--token", "t"], /not an absolute path/, 2],
    [["install", "edge", ...HERE, "--token", "t", "--host", "h"], /--host is no setting of a/, 2],
    [["install", "edge", ...HERE, "--token", "t", "--state-dir", "/x"], /leave out --state-dir/, 2],
    [["install", "edge", ...HERE, ...PROGRAM, "--token", "@/no/file"], /no such file/, 6],
    [["install", "edge", "--manager", "openrc", "--user", "--token", "t"], /leave out --user/, 2],
    [
      ["install", "edge", "--manager", "upstart"],
      /it must be systemd, launchd, cron, windows or openrc/,
      2,
    ],
    [
      ["install", "edge", "--manager", "systemd", "--token", "t", "--binary", "/root/sallyport"],
      /does not see \/root\/\n {2}install -m 755/,
      2,
    ],
    [["uninstall", "edge", "--user"], /sallyport-edge is not installed\n/, 6],
    [["stop", "r1", "--user", "--role", "relay"], /sallyport-relay-r1 is not installed\n/, 6],
    [["status", "edge", "--user"], /is not installed\n {2}a service of the machine is named/, 6],
    [["instal", "edge"], /Did you mean (un)?install\?\n {2}see: sallyport service --help/, 2],
  ] as const
) {
  Deno.test({
    name: `service ${args.join(" ")} says what is wrong`,
    ignore: process.platform !== "linux",
    async fn() {
      await using folder = await temporaryFolder();
      const result = await cli([...args], { HOME: folder.path });
      assert.match(result.err, said);
      assert.deepEqual([result.status, result.out], [status, ""]);
    },
  });
}

Deno.test("a host without a known manager is told what is missing", async () => {
  const { detectManager } = await import("../../src/service/detect.ts");
  const detect = (platform: string, ...there: string[]) =>
    detectManager({ platform, env: { PATH: "/bin" }, exists: (path) => there.includes(path) });
  assert.equal(detect("darwin"), "launchd");
  assert.equal(detect("win32"), "windows");
  assert.equal(detect("linux", "/run/systemd/system", "/bin/crontab", "/bin/flock"), "systemd");
  assert.equal(detect("linux", "/run/openrc", "/bin/crontab"), "openrc");
  if (process.platform !== "win32") {
    assert.equal(detect("linux", "/bin/crontab", "/bin/flock"), "cron");
  }
  assert.throws(() => detect("linux", "/bin/crontab"), { code: "service", message: /no service/ });
});

Deno.test("versions of systemd before 247 get their secrets by a file of variables", async () => {
  const { loadsCredentials } = await import("../../src/service/detect.ts");
  assert.ok(loadsCredentials("systemd 252 (252.39-1~deb12u2)\n+PAM"));
  assert.ok(!loadsCredentials("systemd 239 (239-82.el8)\n"));
  assert.ok(!loadsCredentials(""));
});

Deno.test("print touches nothing, and reads no secret", async () => {
  await using folder = await temporaryFolder();
  const token = join(folder.path, "token");
  await writeFile(token, "hunter2hunter2", { mode: 0o600 });
  const args = ["print", "edge", "--user", "--manager", "cron", "--token", `@${token}`];
  const { status, out } = await cli(args, { HOME: folder.path });
  assert.equal(status, 0);
  assert.doesNotMatch(out, /hunter2/);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["token"]);
});
