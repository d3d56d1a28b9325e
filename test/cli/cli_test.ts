/** The command line as a person meets it: what is printed where, and the exit status. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cli as run } from "./run.ts";
import { parseTarget } from "../../src/cli/connect.ts";
import { VERSION } from "../../src/version.ts";
import { watchLogs } from "../captured_log.ts";
import { freePort } from "../lab_process.ts";
import { temporaryFolder } from "../temporary.ts";

async function cli(args: string[], env: Record<string, string> = {}, signal?: AbortSignal) {
  return await run(args, { env, ...(signal && { signal }) });
}

Deno.test("--help and --version answer on standard output and succeed", async () => {
  for (const args of [["--help"], ["help"], ["gateway", "start", "--help"], ["platform", "-h"]]) {
    const { status, out, err } = await cli(args);
    assert.deepEqual([status, err], [0, ""], args.join(" "));
    assert.match(out, /Usage: sallyport/);
  }
  assert.deepEqual(await cli(["--version"]), { status: 0, out: `${VERSION}\n`, err: "" });
});

Deno.test("help names the flags and variables of the real CLI", async () => {
  const { out } = await cli(["gateway", "start", "--help"]);
  const flags = "--domain --token --enroll-method --auth-method --client-id --client-secret " +
    "--target-relay-name --relay-name --relay --proxy-name --health-listen";
  const variables = "INFISICAL_TOKEN INFISICAL_DOMAIN INFISICAL_API_URL INFISICAL_RELAY_NAME " +
    "INFISICAL_GATEWAY_NAME INFISICAL_AUTH_METHOD INFISICAL_UNIVERSAL_AUTH_CLIENT_ID " +
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET";
  for (const name of [...flags.split(" "), ...variables.split(" ")]) {
    assert.ok(out.includes(name), name);
  }
});

Deno.test("a group of commands without one shows its help and fails as wrong usage", async () => {
  for (const args of [[], ["gateway"], ["platform"], ["platform", "token"]]) {
    const { status, out, err } = await cli(args);
    assert.deepEqual([status, out], [2, ""], args.join(" "));
    assert.match(err, /Usage: sallyport/);
  }
});

for (
  const [args, said, status] of [
    [["gatway"], /unexpected option or subcommand: gatway\. Did you mean gateway\?/, 2],
    [["gateway", "strat"], /Did you mean start\?\n {2}see: sallyport gateway --help/, 2],
    [["gateway", "start", "a", "--domian", "x"], /--domian\. Did you mean --domain\?/, 2],
    [["connect"], /^sallyport: GATEWAY is missing\n {2}see: sallyport connect --help\n/, 2],
    [["gateway", "start", "a", "b"], /unexpected .*: b\n/, 2],
    [["gateway", "start"], /needs a name/, 2],
    [["gateway", "start", "a"], /no credentials are given/, 2],
    [["gateway", "start", "a", "--domain", "ftp://x", "--token", "t"], /not an http or https/, 2],
    [["gateway", "start", "a", "--token", "t", "--health-listen", "x"], /listening address/, 2],
    [
      ["gateway", "start", "a", "--token", "@/no/file", "--health-listen", "off"],
      /no such file/,
      6,
    ],
    [["relay", "start"], /the relay needs --name/, 2],
    [["relay", "start", "--name", "r"], /the relay needs --host/, 2],
    [["relay", "start", "--name", "r", "--host", "h", "--token", "t", "--type", "x"], /--type/, 2],
    [["connect", "edge", "nowhere", "--token", "t"], /"nowhere" is not a target/, 2],
    [
      ["connect", "edge", "https://a", "--token", "t"],
      /is not a target\n {2}a URL needs --http/,
      2,
    ],
    [["connect", "edge", "a:1", "--target-insecure", "--token", "t"], /need --http/, 2],
    [["platform", "token", "create"], /one identity, gateway or relay/, 2],
    [["gateway", "start", "a", "--config", "/no/such"], /no such file/, 6],
  ] as const
) {
  Deno.test(`"${args.join(" ")}" is answered with what is wrong and no stack trace`, async () => {
    const outcome = await cli([...args]);
    assert.match(outcome.err, said);
    assert.equal(outcome.status, status);
    assert.equal(outcome.out, "");
    assert.doesNotMatch(outcome.err, /\bat .*\.ts/);
  });
}

Deno.test("the value of a misspelt flag is not repeated: it may be a secret", async () => {
  const { err } = await cli(["gateway", "start", "a", "--tokn=hunter2"]);
  assert.match(err, /--tokn\. Did you mean --token\?/);
  assert.doesNotMatch(err, /hunter2/);
});

Deno.test("a platform that nobody runs is waited for, and a stop ends the waiting with 0", async () => {
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  const nobody = await freePort("127.0.0.1");
  const port = await freePort("127.0.0.1");
  const args = ["gateway", "start", "a", "--token", "t", "--domain", `http://127.0.0.1:${nobody}`];
  const running = cli(
    [...args, "--health-listen", `127.0.0.1:${port}`, "--log-level", "error"],
    { SALLYPORT_STATE_DIR: folder.path },
    stop.signal,
  );
  let answer: { lastError?: { code: string } } = {};
  while (answer.lastError === undefined) {
    answer = await fetch(`http://127.0.0.1:${port}/status`).then((r) => r.json(), () => ({}));
  }
  assert.equal(answer.lastError.code, "api-unreachable");
  stop.abort();
  assert.equal((await running).status, 0);
});

Deno.test("a stack trace is shown to those who ask to debug", async () => {
  const args = ["gateway", "start", "a", "--config", "/no/such"];
  assert.match((await cli([...args, "--log-level", "debug"])).err, /\bat .*load\.ts/);
  assert.match((await cli(args, { SALLYPORT_LOG_LEVEL: "debug" })).err, /caused by/);
});

Deno.test("targets are read as people write them", () => {
  assert.deepEqual(parseTarget("db.internal:5432", false), { host: "db.internal", port: 5432 });
  assert.deepEqual(parseTarget("[::1]:80", false), { host: "[::1]", port: 80 });
  assert.deepEqual(parseTarget("https://app", true), { host: "https://app", port: 443 });
  assert.deepEqual(parseTarget("http://app:8080/", true), { host: "http://app", port: 8080 });
  for (const text of ["", ":1", "a", "a:0", "a:65536", "a:b", "a:1/x", "u@a:1"]) {
    assert.throws(() => parseTarget(text, true), { code: "usage" }, text);
  }
});

Deno.test("what ends the program is said on standard error and in the log file", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  const args = ["gateway", "start", "a", "--token", "@/no/file", "--health-listen", "off"];
  try {
    const { status, err } = await cli([...args, "--log-file", path, "--log-format", "json"]);
    assert.equal(status, 6);
    assert.match(err, /^sallyport: .*no such file/m);
    const lines = (await readFile(path, "utf8")).trim().split("\n").map((line) => JSON.parse(line));
    assert.match(lines.at(-1).message, /no such file/);
    assert.deepEqual([lines.at(-1).level, lines.at(-1).room], ["error", "cli"]);
  } finally {
    watchLogs();
  }
});
