/** The shell scripts, run by a real shell: what the tools of clouds and hosts are called with. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Format, FORMATS } from "../../../src/diagnostic/firewall/formats.ts";
import { runChild } from "../../child.ts";
import { temporaryFolder } from "../../temporary.ts";
import { POLICIES } from "./policies.ts";

/** Runs a script with a `tool` that writes down its arguments, and gives them, call by call. */
async function callsOf(
  format: Format,
  kind: "allow" | "only",
  tool: string,
  env: Record<string, string>,
): Promise<{ status: number; err: string; calls: string[][] }> {
  await using folder = await temporaryFolder();
  const script = join(folder.path, "script");
  const written = join(folder.path, "calls");
  await writeFile(script, FORMATS[format](POLICIES[kind]));
  await writeFile(written, "");
  const recorder = `#!/bin/sh\nprintf '%s\\0' "$@" >>'${written}'\nprintf '\\n' >>'${written}'\n`;
  await writeFile(join(folder.path, tool), recorder);
  await chmod(join(folder.path, tool), 0o755);
  const { status, err } = await runChild("/bin/sh", {
    args: [script],
    env: { ...env, PATH: `${folder.path}:/usr/bin:/bin` },
    clearEnv: true,
  });
  const calls = (await readFile(written, "utf8")).split("\n").filter(Boolean)
    .map((line) => line.split("\0").slice(0, -1));
  return { status, err, calls };
}

const ignore = Deno.build.os === "windows";

Deno.test({
  name: "aws is given JSON that it can read, and with --only loses the rule that lets all out",
  ignore,
  async fn() {
    const env = { SECURITY_GROUP: "sg-1" };
    const { status, calls } = await callsOf("aws-cli", "only", "aws", env);
    assert.equal(status, 0);
    assert.equal(calls.length, 9);
    const [first] = JSON.parse(calls[0]!.at(-1)!);
    const Description = "sallyport: platform app.infisical.com";
    assert.deepEqual(first, {
      IpProtocol: "tcp",
      FromPort: 443,
      ToPort: 443,
      IpRanges: ["203.0.113.9/32", "203.0.113.10/32"].map((CidrIp) => ({ CidrIp, Description })),
      Ipv6Ranges: [{ CidrIpv6: "2001:db8::1/128", Description }],
    });
    assert.deepEqual(
      calls.slice(-2).map((call) => [call[1], JSON.parse(call.at(-1)!)[0]]),
      [
        ["revoke-security-group-egress", {
          IpProtocol: "-1",
          IpRanges: [{ CidrIp: "0.0.0.0/0" }],
        }],
        ["revoke-security-group-egress", { IpProtocol: "-1", Ipv6Ranges: [{ CidrIpv6: "::/0" }] }],
      ],
    );
    for (const call of calls) assert.equal(call[call.indexOf("--group-id") + 1], "sg-1");
    assert.equal((await callsOf("aws-cli", "allow", "aws", env)).calls.length, 7);
  },
});

Deno.test({
  name: "gcloud makes rules of one family each, for one network and tag",
  ignore,
  async fn() {
    const env = { NETWORK: "net", TAG: "edge" };
    const { status, calls } = await callsOf("gcp", "only", "gcloud", env);
    assert.equal(status, 0);
    assert.equal(calls.length, 10);
    assert.equal(new Set(calls.map((call) => call[3])).size, 10);
    for (const call of calls) {
      assert.ok(call.includes("--network=net") && call.includes("--target-tags=edge"));
      const ranges = call.find((word) => word.startsWith("--destination-ranges="))!;
      assert.ok(!(/\d\.\d/.test(ranges) && ranges.includes(":")), ranges);
    }
    assert.ok(calls.at(-1)!.includes("--action=DENY"));
  },
});

Deno.test({
  name: "az gives every rule a priority of its own, and refuses the rest last",
  ignore,
  async fn() {
    const env = { RESOURCE_GROUP: "rg", NSG: "nsg" };
    const { status, calls } = await callsOf("azure", "only", "az", env);
    assert.equal(status, 0);
    const value = (call: string[], flag: string) => call[call.indexOf(flag) + 1];
    assert.deepEqual(
      calls.map((call) => value(call, "--priority")),
      ["1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "4096"],
    );
    assert.deepEqual(
      ["--access", "--protocol", "--destination-address-prefixes", "--destination-port-ranges"]
        .map((flag) => value(calls.at(-1)!, flag)),
      ["Deny", "*", "*", "*"],
    );
  },
});

for (
  const [format, tool, missing] of [
    ["aws-cli", "aws", "SECURITY_GROUP"],
    ["gcp", "gcloud", "NETWORK"],
    ["azure", "az", "RESOURCE_GROUP"],
  ] as const
) {
  Deno.test({
    name: `${format}: without ${missing} nothing is changed and the script says what to set`,
    ignore,
    async fn() {
      const { status, err, calls } = await callsOf(format, "only", tool, {});
      assert.notEqual(status, 0);
      assert.match(err, new RegExp(`${missing}: set it to`));
      assert.deepEqual(calls, []);
    },
  });
}

Deno.test({
  name: "ufw and firewall-cmd are called once a rule and address",
  ignore,
  async fn() {
    const ufw = await callsOf("ufw", "allow", "ufw", {});
    assert.deepEqual([ufw.status, ufw.calls.length], [0, 9]);
    assert.deepEqual(
      ufw.calls[0]!,
      "prepend allow out proto tcp to 203.0.113.9 port 443 comment".split(" ")
        .concat("sallyport: platform app.infisical.com"),
    );
    const firewalld = await callsOf("firewalld", "allow", "firewall-cmd", {});
    assert.equal(firewalld.status, 0);
    const rich = firewalld.calls.map((call) => call.at(-1)!).filter((w) => w.includes("rich-rule"));
    assert.equal(rich.length, 9);
    assert.equal(
      rich[2],
      '--add-rich-rule=rule family="ipv6" destination address="2001:db8::1" ' +
        'port port="443" protocol="tcp" accept',
    );
  },
});
