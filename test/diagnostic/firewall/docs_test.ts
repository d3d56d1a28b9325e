/** The commands in docs/firewall.md, run as they stand there; only names are not looked up. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cli } from "../../cli/run.ts";
import { FORMATS } from "../../../src/diagnostic/firewall/formats.ts";
import { ROOT } from "../../requirements.ts";

const text = readFileSync(join(ROOT, "docs", "firewall.md"), "utf8");
const commands = text.replaceAll("\\\n", " ").split("\n")
  .filter((line) => /^ {4}sallyport firewall /.test(line))
  .map((line) => line.replace(/\s+[#>] .*/, "").trim());

/** Every name in the page, and an address for those in the command that has none. */
const NAMES = ["relay.example", "wiki.internal", "app.infisical.com"];

function withAddresses(command: string): string[] {
  const args = command.split(/\s+/).slice(1);
  if (args.includes("--address")) return args;
  const asked = args.includes("--domain") ? command : `${command} app.infisical.com`;
  const given = NAMES.filter((name) => asked.includes(name)).map((name) => `${name}=192.0.2.1`);
  return given.length === 0 ? args : [...args, "--address", given.join()];
}

Deno.test("docs/firewall.md has a command for each scenario", () => {
  assert.ok(commands.length >= 9, commands.join("\n"));
  for (const format of Object.keys(FORMATS)) assert.ok(text.includes(`\`${format}\``), format);
});

for (const command of new Set(commands)) {
  Deno.test(`docs/firewall.md: ${command}`, async () => {
    const { status, out, err } = await cli(withAddresses(command));
    assert.equal(status, 0, err);
    assert.match(out, /443|3128/);
  });
}
