/** `sallyport config`: what the settings are, and where each comes from. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { cli } from "./run.ts";

const posix = process.platform !== "win32";

/** Runs a command with a configuration file, named FILE in `args`. */
async function withFile(name: string, content: string, args: string[], mode = 0o600) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, name);
  await writeFile(path, content);
  await chmod(path, mode);
  const outcome = await cli(args.map((arg) => arg === "FILE" ? path : arg));
  return {
    ...outcome,
    out: outcome.out.replaceAll(path, "FILE"),
    err: outcome.err.replaceAll(path, "FILE"),
  };
}

Deno.test("print shows every value with its place, and no secret", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "gateway.yaml");
  await writeFile(path, "domain: https://a.example\nclient-secret: hunter2hunter2\n");
  const env = { INFISICAL_TOKEN: "opensesame1", SALLYPORT_MAX_CHANNELS: "7" };
  const args = ["config", "print", "gateway", "--config", path, "--log-level", "debug"];
  const { status, out, err } = await cli(args, { env });
  assert.deepEqual([status, err], [0, ""]);
  for (
    const row of [
      /^SETTING +VALUE +FROM$/m,
      /^domain +https:\/\/a\.example +"domain" in \S+gateway\.yaml$/m,
      /^token +\[secret\] +INFISICAL_TOKEN$/m,
      /^client-secret +\[secret\] +"client-secret" in/m,
      /^max-channels +7 +SALLYPORT_MAX_CHANNELS$/m,
      /^log-level +debug +--log-level$/m,
      /^keepalive-interval +10s +default$/m,
      /^target-relay-name +\(the nearest healthy one\) +-$/m,
    ]
  ) assert.match(out, row);
  assert.doesNotMatch(out, /hunter2|opensesame/);
  const json = JSON.parse((await cli([...args, "--json"], { env })).out);
  assert.deepEqual(json.token, { value: "[secret]", from: "INFISICAL_TOKEN" });
  assert.deepEqual(json["log-format"], { value: "text", from: "default" });
});

Deno.test("print names the file of a secret, as that is none", async () => {
  const { out } = await cli(["config", "print", "relay", "--token", "@/etc/sallyport/token"]);
  assert.match(out, /^token +@\/etc\/sallyport\/token +--token$/m);
});

Deno.test("check says that a configuration makes sense, or what does not", async () => {
  const good = "domain: https://a.example\ntoken: '@/etc/token'\n";
  const args = (role: string) => ["config", "check", role, "--config", "FILE"];
  assert.deepEqual(await withFile("c.yaml", good, args("gateway")), {
    status: 0,
    out: "the configuration of gateway makes sense, with FILE\n",
    err: "",
  });
  for (
    const [content, role, said] of [
      ["domian: x", "gateway", /"domian" is no setting\n {2}did you mean "domain"\?/],
      ["keepaliveInterval: 3s", "gateway", /did you mean "keepalive-interval"\?/],
      ["KEEPALIVE_INTERVAL: 3s", "gateway", /did you mean "keepalive-interval"\?/],
      ["qqqqqqqqqq: x", "gateway", /see: sallyport config schema/],
      ["keepalive-interval: soon", "gateway", /"keepalive-interval" in FILE: it must be a time/],
      ["domain: ftp://a\ntoken: t", "gateway", /not an http or https/],
      ["domain: https://a", "gateway", /no credentials/],
      ["token: t\nhealth-listen: x", "gateway", /--health-listen/],
      ["token: t\nssh-listen: x", "relay", /--ssh-listen/],
      ["token: t\nlisten: x", "connect", /--listen/],
      ["listen: x", "platform", /--listen/],
      ["token: [a, b]", "gateway", /"token" has a value of a kind/],
      ["a: &x 1\nb: *x", "gateway", /not YAML at line 2/],
      ["token: hunter2\n  x: [", "gateway", /not YAML at line \d/],
    ] as const
  ) {
    const { status, out, err } = await withFile("c.yml", content, args(role));
    assert.deepEqual([status, out], [2, ""], content);
    assert.match(err, said);
    assert.doesNotMatch(err, /hunter2/);
  }
});

Deno.test("check warns of what is not used, and refuses a secret that others may read", async () => {
  const content = JSON.stringify({ "$schema": "x", token: "t", "ssh-listen": ":22" });
  const args = ["config", "check", "gateway", "--config", "FILE"];
  const { status, err } = await withFile("c.json", content, args);
  assert.equal(status, 0);
  assert.match(err, /warning: "ssh-listen" in FILE is no setting of gateway: not used/);
  assert.doesNotMatch(err, /schema/);
  const open = await withFile("c.json", content, args, 0o644);
  assert.deepEqual([open.status, /holds a secret/.test(open.err)], posix ? [6, true] : [0, false]);
  const named = JSON.stringify({ token: "@/etc/token" });
  assert.equal((await withFile("c.json", named, args, 0o644)).err, "");
});

Deno.test("a YAML value stays the text that was written", async () => {
  const content = "token: 0123456789\nclient-id: 0123\nlog-level: warn # not much\n";
  const args = ["config", "print", "gateway", "--config", "FILE", "--json"];
  const { "client-id": id, "log-level": level } = JSON.parse(
    (await withFile("c.yaml", content, args)).out,
  );
  assert.deepEqual([id.value, level.value], ["0123", "warn"]);
});

Deno.test("the published schema is the one of the settings, and knows what they take", async () => {
  const { out } = await cli(["config", "schema"]);
  const schema = JSON.parse(out);
  const published = await readFile(join(ROOT, "docs", "config.schema.json"), "utf8");
  assert.deepEqual(
    JSON.parse(published),
    schema,
    "write it anew: deno task sallyport config schema > docs/config.schema.json",
  );
  const { properties } = schema;
  assert.deepEqual(properties["log-level"].enum, ["debug", "info", "warn", "error"]);
  assert.deepEqual(properties["max-channels"].default, 2048);
  assert.equal(properties.http.type, "boolean");
  assert.equal(properties.token.writeOnly ?? properties.token.anyOf[0].writeOnly, true);
  assert.equal(properties.listen.anyOf.length, 2, "connect and platform mean different things");
  for (const text of ["10s", "500ms", "1.5h", "30"]) {
    assert.match(text, new RegExp(properties["keepalive-interval"].pattern));
  }
});
