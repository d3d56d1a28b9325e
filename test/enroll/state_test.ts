import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { StateFile } from "../../src/enroll/state.ts";
import { temporaryFolder } from "../temporary.ts";

const state = { id: "id-1", accessToken: "own-token", domain: "https://x/api" };
const posix = process.platform !== "win32";

Deno.test("what is saved is loaded again, and nothing else lies beside it", async () => {
  await using folder = await temporaryFolder();
  const dir = join(folder.path, "a", "b");
  const file = new StateFile(dir, "edge 1");
  assert.equal(await file.load(), undefined);
  await file.check();
  await file.save(state);
  await file.save({ ...state, accessToken: "newer" });
  assert.deepEqual(await new StateFile(dir, "edge 1").load(), { ...state, accessToken: "newer" });
  assert.deepEqual(await readdir(dir), ["gateway-edge%201.json"]);
});

Deno.test({
  name: "the state is for its owner alone",
  ignore: !posix,
  async fn() {
    await using folder = await temporaryFolder();
    const dir = join(folder.path, "state");
    const file = new StateFile(dir, "g");
    await file.save(state);
    assert.equal((await stat(dir)).mode & 0o777, 0o700);
    assert.equal((await stat(file.path)).mode & 0o777, 0o600);
    await chmod(file.path, 0o640);
    await assert.rejects(file.load(), { code: "state", message: /mode 0640/, hint: /chmod 600/ });
  },
});

Deno.test("a gateway's name cannot leave the directory", () => {
  for (const name of ["../x", "a/b", "..", "a\\b", "x*"]) {
    const { path } = new StateFile("dir", name);
    assert.match(path, /^dir[/\\]gateway-[^/\\*]+\.json$/);
  }
});

Deno.test("a damaged state names the path and the fields, not the content", async () => {
  await using folder = await temporaryFolder();
  const file = new StateFile(folder.path, "g");
  const write = (text: string) => writeFile(file.path, text, { mode: 0o600 });
  await write('{"accessToken": "SECRET');
  await assert.rejects(file.load(), (error: Error) => {
    assert.match(error.message, /gateway-g\.json is damaged \(not JSON\)/);
    return !error.message.includes("SECRET");
  });
  await write(JSON.stringify({ version: 2, ...state, domain: 3 }));
  await assert.rejects(file.load(), { code: "state", message: /missing: version, domain/ });
});

Deno.test("a save that fails leaves what was there, and says why and what to do", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "file");
  await writeFile(path, "");
  const file = new StateFile(join(path, "sub"), "g");
  await assert.rejects(file.save(state), {
    code: "state",
    message: /cannot make .*: a part of the path is not a directory/,
    hint: /--state-dir/,
  });
  const blocked = new StateFile(folder.path, "h");
  await mkdir(join(blocked.path, "x"), { recursive: true });
  await assert.rejects(blocked.save(state), { code: "state" });
  assert.deepEqual((await readdir(folder.path)).sort(), ["file", "gateway-h.json"]);
});

Deno.test("the file says its version", async () => {
  await using folder = await temporaryFolder();
  const file = new StateFile(folder.path, "g");
  await file.save({ ...state, enrolment: "ab" });
  assert.deepEqual(JSON.parse(await readFile(file.path, "utf8")), {
    version: 1,
    ...state,
    enrolment: "ab",
  });
});
