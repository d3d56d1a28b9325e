import assert from "node:assert/strict";
import { readAuth } from "../../src/config/auth.ts";
import { authSettings } from "../../src/config/common.ts";
import { captureLog } from "../captured_log.ts";
import { stateDirectory } from "../../src/config/directories.ts";
import { loadSettings } from "../../src/config/load.ts";

const auth = (flags: Record<string, string>, env: Record<string, string> = {}) =>
  readAuth(loadSettings(authSettings, { flags, env }));

Deno.test("a token is taken as it is; id and secret mean universal auth with or without the word", async () => {
  const byToken = auth({ token: "t1" });
  assert.equal(byToken.method, "token");
  const id = { clientId: "i", clientSecret: "s" };
  for (const flags of [id, { ...id, authMethod: "universal-auth" }]) {
    const way = auth(flags);
    assert.equal(way.method, "universal-auth");
  }
  const both = auth({ ...id, token: "t1", authMethod: "universal-auth" });
  assert.equal(both.method, "universal-auth");
  assert.ok(byToken.method === "token" && await byToken.token.read() === "t1");
});

Deno.test("what is missing is named", () => {
  assert.throws(() => auth({}), {
    code: "usage",
    message: /no credentials/,
    hint: /--token @path/,
  });
  assert.throws(() => auth({ clientId: "i" }), { code: "usage", message: /needs --client-secret/ });
  assert.throws(() => auth({ clientSecret: "s" }), { message: /needs --client-id/ });
  assert.throws(() => auth({ authMethod: "universal-auth" }), { message: /needs --client-id/ });
});

Deno.test("an empty secret is named by where it came from", async () => {
  const way = auth({}, { INFISICAL_TOKEN: "@/no/such/file" });
  assert.ok(way.method === "token");
  await assert.rejects(way.token.read(), { code: "file", message: /^INFISICAL_TOKEN: / });
});

Deno.test("state is kept in each system's own place", () => {
  const at = (platform: string, env: Record<string, string> = {}, uid = 1000) =>
    stateDirectory({ platform, env, uid, home: "/home/u" });
  assert.equal(at("linux"), "/home/u/.local/state/sallyport");
  assert.equal(at("linux", { XDG_STATE_HOME: "/x" }), "/x/sallyport");
  assert.equal(at("linux", {}, 0), "/var/lib/sallyport");
  assert.equal(at("darwin"), "/home/u/Library/Application Support/sallyport");
  assert.match(at("win32", { LOCALAPPDATA: "/local" }), /local.sallyport$/);
});

Deno.test("a secret on the command line is warned of, and not shown; elsewhere it is not", () => {
  using log = captureLog();
  for (const from of ["--token", "INFISICAL_TOKEN", '"token" in /etc/c.json']) {
    for (const token of ["s3cr3t-on-the-line", "@/etc/token", "-"]) {
      readAuth({ values: { token }, from: { token: from } } as Parameters<typeof readAuth>[0]);
    }
  }
  assert.equal(log.lines.length, 1, log.lines.join("\n"));
  assert.match(
    log.lines[0]!,
    /WARN .*the secret in --token can be seen by every user of this host/,
  );
  assert.doesNotMatch(log.lines[0]!, /s3cr3t/);
});
