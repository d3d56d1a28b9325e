import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { LogFile } from "../src/log_file.ts";
import { configureLogs, logger, logsToFile } from "../src/log.ts";
import { temporaryFolder } from "./temporary.ts";

/** Writes numbered lines of ten bytes into a log file of a folder, and gives what is in its files. */
async function rotated({ lines, size, count }: { lines: number; size: number; count: number }) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  using file = new LogFile({ path, size, count }, assert.fail);
  for (let i = 1; i <= lines; i++) file.write(`line ${String(i).padStart(4)}\n`);
  return Object.fromEntries(
    readdirSync(folder.path).sort().map((name) => [
      name,
      readFileSync(join(folder.path, name), "utf8").match(/\d+/g)!.map(Number),
    ]),
  );
}

Deno.test("a full log file is put aside, and so many are kept", async () => {
  const files = await rotated({ lines: 12, size: 30, count: 2 });
  assert.deepEqual(files, { "log": [10, 11, 12], "log.1": [7, 8, 9], "log.2": [4, 5, 6] });
});

Deno.test("with a count of 0 a full log file begins anew", async () => {
  assert.deepEqual(await rotated({ lines: 5, size: 30, count: 0 }), { "log": [4, 5] });
});

Deno.test("a line that is longer than a file may be is written all the same", async () => {
  const files = await rotated({ lines: 2, size: 5, count: 1 });
  assert.deepEqual(files, { "log": [2], "log.1": [1] });
});

Deno.test("a log file is for its user alone, and goes on where it ended", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  for (const line of ["a\n", "b\n"]) {
    using file = new LogFile({ path, size: 4, count: 1 }, assert.fail);
    file.write(line);
  }
  assert.equal(readFileSync(path, "utf8"), "a\nb\n");
  if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);
  using file = new LogFile({ path, size: 4, count: 1 }, assert.fail);
  file.write("c\n");
  assert.equal(readFileSync(path, "utf8"), "c\n", "what was there counts");
});

Deno.test("a log file that cannot be opened is said so, and logs stay as they were", async () => {
  await using folder = await temporaryFolder();
  const lines: string[] = [];
  configureLogs({ level: "info", format: "text", write: (line) => lines.push(line) });
  for (const path of [join(folder.path, "none", "log"), folder.path]) {
    const file = { path, size: 10, count: 1 };
    const message = /no such folder|it is a folder/;
    assert.throws(() => configureLogs({ level: "info", format: "text", file }), {
      code: "file",
      message,
    });
  }
  logger("link").info("still here");
  assert.match(lines.join(""), /still here/);
  configureLogs({ level: "error", format: "text", write: () => {} });
});

Deno.test("while a log file cannot be written its lines go elsewhere, with one complaint", async () => {
  await using folder = await temporaryFolder();
  const place = join(folder.path, "logs");
  mkdirSync(place);
  const path = join(place, "log");
  const elsewhere: string[] = [];
  using file = new LogFile({ path, size: 4, count: 0 }, (line) => elsewhere.push(line));
  file.write("one\n");
  // Full, and its folder is gone: it can neither be put aside nor opened anew.
  renameSync(place, `${place}-away`);
  for (const line of ["two\n", "three\n"]) file.write(line);
  assert.deepEqual(elsewhere, [
    `log file ${path}: there is no such folder; what is logged comes here\n`,
    "two\n",
    "three\n",
  ]);
  renameSync(`${place}-away`, place);
  file.write("four\n");
  assert.equal(elsewhere.length, 3);
  assert.match(readFileSync(path, "utf8"), /four\n$/);
});

Deno.test("a file that was moved away is opened anew when logs are configured again", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  const options = { level: "info", format: "text", file: { path, size: 1e6, count: 1 } } as const;
  configureLogs(options);
  assert.equal(logsToFile(), true);
  logger("link").info("before");
  renameSync(path, `${path}.old`);
  logger("link").info("still the old one");
  assert.equal(existsSync(path), false);
  configureLogs(options);
  logger("link").info("after");
  assert.match(readFileSync(path, "utf8"), /^\S+ INFO {2}link: after\n$/);
  assert.match(readFileSync(`${path}.old`, "utf8"), /before\n.*still the old one\n$/);
  configureLogs({ level: "error", format: "text", write: () => {} });
  assert.equal(logsToFile(), false);
});
