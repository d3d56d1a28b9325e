/**
 * Writes the list of all packages in docs/dependencies.md, between its two marks.
 *
 *   deno task dependencies
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { readPackages } from "./supply/packages.ts";
import { tableOf, withTable } from "./supply/table.ts";

const PAGE = fileURLToPath(new URL("../docs/dependencies.md", import.meta.url));

const table = tableOf([...(await readPackages()).values()]);
await writeFile(PAGE, withTable(await readFile(PAGE, "utf8"), table));
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
