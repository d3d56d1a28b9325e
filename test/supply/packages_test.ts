/** What the project stands on: every package listed, under a licence that is allowed, pinned. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { objectionTo } from "../../scripts/supply/licences.ts";
import { readPackages } from "../../scripts/supply/packages.ts";
import { tableOf } from "../../scripts/supply/table.ts";
import config from "../../deno.json" with { type: "json" };
import { ROOT } from "../requirements.ts";

const packages = [...(await readPackages()).values()];
const page = readFileSync(join(ROOT, "docs", "dependencies.md"), "utf8");

Deno.test("every package of the lock has a licence that is allowed", () => {
  assert.ok(packages.length > 50, String(packages.length));
  const objections = packages.filter(({ installed }) => installed)
    .map(({ id, installed }) => [id, objectionTo(installed!.licence, "tools")])
    .filter(([, objection]) => objection);
  assert.deepEqual(objections, []);
});

Deno.test("docs/dependencies.md lists every package, its version and licence", () => {
  const cells = (text: string) => text.split("\n").map((line) => line.replaceAll(/ {2,}|-+/g, " "));
  const [, listed = ""] = /<!-- packages -->\n([^]*)<!-- end of packages -->/.exec(page) ?? [];
  assert.deepEqual(cells(listed.trim()), cells(tableOf(packages)), "deno task dependencies");
});

Deno.test("docs/dependencies.md says what for each package of deno.json is here", () => {
  const [, reasons = ""] = /## Why each is here\n([^]*?)\n## /.exec(page) ?? [];
  const named = new Set(
    reasons.split("\n").flatMap((line) => line.split("|")[1]?.trim().split(", ") ?? []),
  );
  assert.deepEqual(Object.keys(config.imports).filter((name) => !named.has(name)), []);
});

Deno.test("every package is pinned to one version, from npm, in a lock that is frozen", () => {
  for (const [name, place] of Object.entries(config.imports)) {
    assert.match(place, new RegExp(`^npm:${name}@\\d+\\.\\d+\\.\\d+$`));
  }
  assert.equal(config.lock.frozen, true);
  for (const { id, sha512 } of packages) assert.match(sha512, /^[0-9a-f]{128}$/, id);
});

for (
  const [licence, verdict] of [
    ["MIT", undefined],
    ["(GPL-3.0-only OR MIT)", undefined],
    ["MIT AND ISC", undefined],
    ["GPL-3.0-only", "GPL-3.0-only is not on the list of allowed licences"],
    ["MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only is not on the list of allowed licences"],
    [
      "Apache-2.0 WITH LLVM-exception",
      "Apache-2.0 WITH LLVM-exception is not on the list of allowed licences",
    ],
    ["CC-BY-3.0", "CC-BY-3.0 is not on the list of allowed licences"],
    ["SEE LICENSE IN licence.txt", '"SEE LICENSE IN licence.txt" is not an SPDX expression'],
    ["", '"" is not an SPDX expression'],
  ] as const
) {
  Deno.test(`licence "${licence}" in the binary: ${verdict ?? "allowed"}`, () => {
    assert.equal(objectionTo(licence, "binary"), verdict);
  });
}
