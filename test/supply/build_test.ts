/** The build: the same bytes again, the account of what is in them, and digests. */
import { Ajv } from "ajv";
import * as formats from "ajv-formats";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, readFile, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, buildIn } from "../program/built_binary.ts";
import { requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

const SCHEMAS = join(
  dirname(fileURLToPath(import.meta.resolve("@cyclonedx/cyclonedx-library/package.json"))),
  "res",
  "schema",
);

// deno-lint-ignore no-explicit-any
async function json(...path: string[]): Promise<any> {
  return JSON.parse(await readFile(join(...path), "utf8"));
}

Deno.test({
  name:
    "the same source gives the same binary, bill of materials and notices, wherever and whenever",
  ...requirement("denort"),
  fn: async () => {
    await build();
    await using folder = await temporaryFolder();
    for (const name of ["src", "scripts", "deno.json", "deno.lock", "node_modules"]) {
      await cp(join(ROOT, name), join(folder.path, name), {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
    await utimes(join(folder.path, "src", "main.ts"), 1, 1);
    await buildIn(folder.path);
    const sums = (root: string) => readFile(join(root, "dist", "SHA256SUMS"), "utf8");
    assert.equal(await sums(folder.path), await sums(ROOT));
    assert.match(await sums(ROOT), /^[0-9a-f]{64} {2}sallyport$/m);
  },
});

Deno.test({
  name: "the digests beside the binary are those of the files",
  ...requirement("denort"),
  fn: async () => {
    await build();
    const sums = await readFile(join(ROOT, "dist", "SHA256SUMS"), "utf8");
    const lines = sums.trim().split("\n").map((line) => line.split("  "));
    assert.deepEqual(lines.map(([, name]) => name), [
      "sallyport",
      "sallyport.cdx.json",
      "LICENSES.txt",
    ]);
    for (const [digest, name] of lines) {
      const content = await readFile(join(ROOT, "dist", name!));
      assert.equal(createHash("sha256").update(content).digest("hex"), digest, name);
    }
  },
});

Deno.test({
  name: "the bill of materials keeps to CycloneDX's schema and names what is in the binary",
  ...requirement("denort"),
  fn: async () => {
    await build();
    const bom = await json(ROOT, "dist", "sallyport.cdx.json");
    const ajv = new Ajv({ strict: false, allErrors: true });
    formats.default.default(ajv);
    for (const format of ["idn-email", "iri-reference"]) ajv.addFormat(format, /^\S+$/);
    for (const part of ["spdx", "jsf-0.82", "cryptography-defs"]) {
      const name = `${part}.SNAPSHOT.schema.json`;
      ajv.addSchema(await json(SCHEMAS, name), `http://cyclonedx.org/schema/${name}`);
    }
    const judge = ajv.compile(await json(SCHEMAS, "bom-1.6.SNAPSHOT.schema.json"));
    const errorsOf = (document: unknown) => judge(document) ? [] : judge.errors;
    assert.deepEqual(errorsOf(bom), []);
    assert.notDeepEqual(errorsOf({ ...bom, components: [{ type: "library" }] }), []);

    const purls: string[] = bom.components.map(({ purl }: { purl: string }) => purl);
    for (const name of ["ssh2", "hono", "zod", "%40peculiar/x509", "asn1js", "yaml"]) {
      assert.ok(purls.some((purl) => purl.startsWith(`pkg:npm/${name}@`)), name);
    }
    assert.ok(purls.includes(`pkg:github/denoland/deno@v${Deno.version.deno}`));
    for (const tool of ["esbuild", "fast-check", "ajv"]) {
      assert.ok(!purls.some((purl) => purl.startsWith(`pkg:npm/${tool}@`)), tool);
    }
    const licences = await readFile(join(ROOT, "dist", "LICENSES.txt"), "utf8");
    for (const { "bom-ref": id } of bom.components) {
      if (!id.startsWith("deno@")) assert.ok(licences.includes(`\n${id} (`), id);
    }
  },
});
