/**
 * What each manager is told, letter by letter. A golden file is what `sallyport service print` shows
 * with the arguments below; changed on purpose, it is written anew with that command.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { cli } from "../cli/run.ts";

async function print(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { status, out, err } = await cli(["service", "print", ...args], {
    env: { HOME: "/home/ada", ...env },
  });
  assert.equal(status, 0, err);
  return out;
}

const GATEWAY = ["edge-1", "--domain", "https://infisical.example", "--relay", "r1"];
const CASES: Record<string, string[]> = {
  "systemd": [...GATEWAY, "--token", "@/no/such/file", "--drain-timeout", "30s"],
  "systemd-user": [...GATEWAY, "--user"],
  "systemd-environment": [...GATEWAY, "--credentials", "environment", "--client-id", "id"].concat([
    "--client-secret",
    "hunter2hunter2",
    "--run-as",
    "gate",
  ]),
  "systemd-relay": ["r1", "--role", "relay", "--host", "relay.example", "--tls-listen", ":443"],
  "launchd": [...GATEWAY, "--ca-file", "ca & co.pem"],
  "launchd-user": [...GATEWAY, "--user"],
  "cron": [...GATEWAY, "--run-as", "gate", "--binary", "/opt/100% ours/sallyport"],
  "cron-user": [...GATEWAY, "--user"],
  "windows": GATEWAY,
  "openrc": [...GATEWAY, "--run-as", "gate"],
};

for (const [name, args] of Object.entries(CASES)) {
  Deno.test(`print shows what ${name} would be told, as it always did`, async () => {
    const manager = name.split("-")[0]!;
    const printed = await print([...args, "--manager", manager]);
    const golden = new URL(`golden/${name}.txt`, import.meta.url);
    assert.equal(printed, await readFile(golden, "utf8"));
    assert.ok(!printed.includes("hunter2"), "a secret is shown");
  });
}

Deno.test("settings of the environment and of a file are written down, times as they can be read", async () => {
  const env = { SALLYPORT_TARGET_TIMEOUT: "2m", INFISICAL_RELAY_NAME: "far" };
  const printed = await print(["edge-1", "--manager", "systemd", "--max-channels", "9"], env);
  assert.match(printed, /"target-relay-name": "far"/);
  assert.match(printed, /"target-timeout": "120000ms"/);
  assert.match(printed, /"max-channels": "9"/);
  assert.doesNotMatch(printed, /log-level|drain/);
});
