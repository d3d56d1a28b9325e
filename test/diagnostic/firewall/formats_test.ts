/**
 * Every format against a text that a person has read (golden/). SALLYPORT_WRITE_GOLDEN=1 writes the
 * texts anew, for `git diff` to show.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { type Format, FORMATS } from "../../../src/diagnostic/firewall/formats.ts";
import { ROOT } from "../../requirements.ts";
import { POLICIES } from "./policies.ts";

const GOLDEN = join(ROOT, "test", "diagnostic", "firewall", "golden");
const names = Object.keys(FORMATS) as Format[];

for (const format of names) {
  for (const kind of ["allow", "only"] as const) {
    Deno.test(`${format}, ${kind}: the rules are written as in the golden text`, async () => {
      const text = `${FORMATS[format](POLICIES[kind])}\n`;
      const path = join(GOLDEN, `${format}.${kind}.golden`);
      if (Deno.env.get("SALLYPORT_WRITE_GOLDEN") === "1") {
        await mkdir(GOLDEN, { recursive: true });
        await writeFile(path, text);
      }
      assert.equal(text, await readFile(path, "utf8"));
    });
  }
}

Deno.test("every format names every address and port, in letters that any shell and editor can read", () => {
  for (const format of names) {
    const text = FORMATS[format](POLICIES.only);
    assert.match(text, /^[\x20-\x7e\n]*$/, format);
    for (const { networks, port } of POLICIES.only.rules) {
      for (const { address } of networks) assert.ok(text.includes(address), `${format} ${address}`);
      assert.ok(text.includes(String(port ?? "")), `${format} ${port}`);
    }
  }
});

Deno.test("json is one object, with addresses as a program wants them", () => {
  const { only, madeAt, rules } = JSON.parse(FORMATS.json(POLICIES.only));
  assert.deepEqual([only, madeAt], [true, "2026-01-02T03:04:05.000Z"]);
  assert.deepEqual(rules.at(-1), {
    ...{ id: "also-2", purpose: "also", host: "10.0.9.9", protocol: "tcp", port: null },
    addresses: ["10.0.9.9"],
  });
});

/** A template's own short forms of functions, as the names that they refer to. */
const customTags = ["!Ref", "!GetAtt"].map((tag) => ({ tag, resolve: (name: string) => name }));

Deno.test("the CloudFormation template adds rules to a group that is there", () => {
  const { Parameters, Resources } = parse(FORMATS["aws-cloudformation"](POLICIES.allow), {
    customTags,
  });
  assert.equal(Parameters.SecurityGroupId.Type, "AWS::EC2::SecurityGroup::Id");
  const resources = Object.values(Resources) as { Type: string; Properties: unknown }[];
  assert.equal(resources.length, 9);
  assert.ok(resources.every(({ Type }) => Type === "AWS::EC2::SecurityGroupEgress"));
  assert.deepEqual(resources[2]!.Properties, {
    GroupId: "SecurityGroupId",
    Description: "sallyport: platform app.infisical.com",
    IpProtocol: "tcp",
    FromPort: 443,
    ToPort: 443,
    CidrIpv6: "2001:db8::1/128",
  });
});

Deno.test("the CloudFormation template for these rules alone makes a group with them", () => {
  const { Resources: { Gateway }, Outputs } = parse(
    FORMATS["aws-cloudformation"](POLICIES.only),
    { customTags },
  );
  assert.equal(Gateway.Type, "AWS::EC2::SecurityGroup");
  assert.equal(Gateway.Properties.SecurityGroupEgress.length, 9);
  assert.equal(Outputs.SecurityGroupId.Value, "Gateway.GroupId");
});
