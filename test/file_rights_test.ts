/** Files that others may read or change: what is refused, and by whom. */
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import fc from "fast-check";
import { modeFault } from "../src/diagnostic/doctor/file_modes.ts";
import { secretSource } from "../src/enroll/secret.ts";
import { StateFile } from "../src/enroll/state.ts";
import { type FileRole, rightsFault } from "../src/file_rights.ts";
import { initPlatform, PlatformAdmin } from "../src/platform/admin.ts";
import { cli } from "./cli/run.ts";
import { temporaryFolder } from "./temporary.ts";

const ignore = process.platform === "win32";
const ME = 1000;
const SECRET = "n0-0ne-e1se-may-read-this";

Deno.test("for every mode: what others could read or change is refused, and nothing else", () => {
  for (let mode = 0; mode <= 0o777; mode++) {
    const refused = (role: FileRole) =>
      rightsFault("/f", { mode, uid: ME }, role, { platform: "linux", uid: ME }) !== undefined;
    const [group, others] = [(mode >> 3) & 7, mode & 7];
    assert.equal(refused("own"), group !== 0 || others !== 0, mode.toString(8));
    assert.equal(refused("given"), (group & 2) !== 0 || others !== 0, mode.toString(8));
    assert.equal(refused("settings"), (others & 2) !== 0, mode.toString(8));
  }
});

Deno.test("another user's file is refused, but root's is not, and root may be given anybody's", () => {
  const of = (owner: number, uid: number, platform = "linux") =>
    rightsFault("/f", { mode: 0o100600, uid: owner }, "given", { platform, uid });
  assert.match(of(1001, ME)!.finding, /^belongs to the user 1001, not to this one \(1000\)$/);
  assert.equal(of(ME, ME), undefined);
  assert.equal(of(0, ME), undefined);
  assert.equal(of(1001, 0), undefined);
  assert.equal(of(1001, ME, "win32"), undefined);
});

Deno.test("doctor finds grave what a gateway refuses", () => {
  const pairs = [["secret", "given"], ["state", "own"], ["folder", "own"]] as const;
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 0o777 }),
    fc.constantFrom(0, ME, 1001),
    fc.constantFrom(0, ME),
    fc.constantFrom(...pairs),
    (mode, owner, uid, [rule, role]) => {
      const found = modeFault({ path: "/f", mode, owner }, rule, uid)?.grave ?? false;
      const context = { platform: "linux", uid };
      const refused = rightsFault("/f", { mode, uid: owner }, role, context) !== undefined;
      assert.equal(found, refused);
    },
  ));
});

/** A command that starts a gateway, which must end at once. */
async function refusedToStart(args: string[], said: RegExp, hint: RegExp): Promise<void> {
  const { status, out, err } = await cli([
    ...["gateway", "start", "edge", "--health-listen", "off", "--domain", "http://127.0.73.9:9"],
    ...args,
  ], { signal: AbortSignal.timeout(5_000) });
  assert.equal(status, 6, err);
  assert.match(err, said);
  assert.match(err, hint);
  assert.ok(!(out + err).includes(SECRET));
}

Deno.test({
  name: "a token file that everybody may read or the group may change is refused, by link as well",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "token");
    const link = join(folder.path, "link");
    await writeFile(path, SECRET);
    await symlink(path, link);
    const way = ["--token", `@${link}`];
    for (const mode of [0o644, 0o604, 0o602, 0o620, 0o444]) {
      await chmod(path, mode);
      const octal = mode.toString(8);
      const said = new RegExp(
        `--token: \\S+link can be (read|changed) by others \\(mode 0${octal}\\)`,
      );
      await refusedToStart(way, said, /chmod 600 \S+/);
    }
    for (const mode of [0o600, 0o400, 0o440]) {
      await chmod(path, mode);
      assert.equal(await secretSource(`@${link}`).read(), SECRET);
    }
  },
});

Deno.test({
  name: "a client secret and an enrolment token in files open to others are refused",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "secret");
    await writeFile(path, SECRET, { mode: 0o644 });
    const said = /can be read by others \(mode 0644\)/;
    await refusedToStart(["--client-id", "x", "--client-secret", `@${path}`], said, /chmod 600/);
    const state = join(folder.path, "state");
    const enrol = ["--enroll-method", "token", "--token", `@${path}`, "--state-dir", state];
    await refusedToStart(enrol, said, /chmod 600/);
    assert.deepEqual(await readdir(folder.path), ["secret"], "nothing was made");
  },
});

Deno.test({
  name:
    "a configuration with a secret that others may read is refused, and one that all may change",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "gateway.json");
    await writeFile(path, JSON.stringify({ token: SECRET }));
    await chmod(path, 0o644);
    const config = ["--config", path];
    await refusedToStart(
      config,
      /holds a secret \("token"\) and can be read by others/,
      /chmod 600/,
    );
    await writeFile(path, JSON.stringify({ "client-secret": SECRET, "client-id": "@x" }));
    await refusedToStart(config, /holds a secret \("client-secret"\)/, /chmod 600/);
    await writeFile(path, JSON.stringify({ token: "@/nonexistent" }));
    await refusedToStart(config, /no such file/, /path of a file/);
    await chmod(path, 0o666);
    await refusedToStart(config, /can be changed by others \(mode 0666\)/, /chmod o-w/);
  },
});

Deno.test({
  name: "a state folder that others may enter is refused before a one-time token is spent",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const dir = join(folder.path, "state");
    await mkdir(dir);
    for (const mode of [0o755, 0o750, 0o701, 0o777, 0o1777]) {
      await chmod(dir, mode);
      const error = { code: "state", message: /is to hold secrets and can be (read|changed)/ };
      await assert.rejects(new StateFile(dir, "edge").check(), error);
      await assert.rejects(new StateFile(dir, "edge").load(), error);
    }
    assert.deepEqual(await readdir(dir), []);
    const state = { id: "i", accessToken: SECRET, domain: "https://x/api" };
    await new StateFile(join(dir, "own"), "edge").save(state);
    await chmod(dir, 0o700);
    const file = new StateFile(dir, "edge");
    await file.save(state);
    for (const mode of [0o640, 0o604, 0o660, 0o666]) {
      await chmod(file.path, mode);
      await assert.rejects(file.load(), {
        code: "state",
        message: /can be (read|changed) by others/,
      });
    }
  },
});

Deno.test({
  name: "a platform's folder, database and key that others may read or change are refused",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const dataDir = join(folder.path, "data");
    await initPlatform({ dataDir });
    const parts: [path: string, mode: number][] = [
      [dataDir, 0o700],
      [join(dataDir, "platform.db"), 0o600],
      [join(dataDir, "platform.key"), 0o600],
    ];
    for (const [path, mode] of parts) {
      for (const bits of [0o040, 0o004, 0o020, 0o002]) {
        await chmod(path, mode | bits);
        assert.throws(() => PlatformAdmin.open(dataDir), {
          code: "platform-store",
          message: /can be (read|changed) by others/,
          hint: /^chmod/,
        } as unknown as Error);
      }
      await chmod(path, mode);
    }
    PlatformAdmin.open(dataDir).close();
  },
});
