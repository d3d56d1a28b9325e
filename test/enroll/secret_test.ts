import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { secretSource } from "../../src/enroll/secret.ts";
import { temporaryFolder } from "../temporary.ts";

async function* pieces(...texts: string[]) {
  for (const text of texts) yield await Promise.resolve(new TextEncoder().encode(text));
}

Deno.test("a secret may be given as it is", async () => {
  const source = secretSource("s3cret");
  assert.equal(source.kind, "literal");
  assert.equal(await source.read(), "s3cret");
  await assert.rejects(secretSource("  ", { what: "--token" }).read(), {
    code: "config",
    message: /--token: the text given is empty/,
  });
});

Deno.test("a secret in a file is read anew each time, without its line end", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "token");
  await writeFile(path, "one\n", { mode: 0o600 });
  const source = secretSource(`@${path}`);
  assert.equal(source.kind, "file");
  assert.equal(await source.read(), "one");
  await writeFile(path, "two\r\n");
  assert.equal(await source.read(), "two");
});

Deno.test("a secret's file that is missing, empty or too long is named", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "token");
  const source = secretSource(`@${path}`, { what: "--client-secret" });
  await assert.rejects(source.read(), {
    code: "file",
    message: `--client-secret: ${path}: there is no such file`,
  });
  await writeFile(path, "\n", { mode: 0o600 });
  await assert.rejects(source.read(), { code: "config", message: /is empty/ });
  await writeFile(path, "x".repeat(70_000));
  await assert.rejects(source.read(), { code: "file", message: /longer than/ });
});

Deno.test("a secret on standard input is read once and remembered", async () => {
  const source = secretSource("-", { stdin: pieces("hal", "f\n") });
  assert.equal(source.kind, "stdin");
  assert.equal(await source.read(), "half");
  assert.equal(await source.read(), "half");
  await assert.rejects(secretSource("-", { stdin: pieces() }).read(), { code: "config" });
});
