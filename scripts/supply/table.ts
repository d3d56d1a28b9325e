/** The list of all packages as docs/dependencies.md has it. */
import type { Package } from "./packages.ts";

const MARKED = /(<!-- packages -->\n)[^]*?(<!-- end of packages -->)/;

/** A table in Markdown, the same on every machine: without the packages that are for one kind of it. */
export function tableOf(packages: readonly Package[]): string {
  const rows = packages.filter(({ forOneMachine }) => !forOneMachine)
    .map(({ name, version, installed }) => [name, version, installed?.licence ?? ""])
    .sort(([a = ""], [b = ""]) => a < b ? -1 : 1);
  return [["package", "version", "licence"], ["---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The page with this table. Throws if it has no place for one. */
export function withTable(page: string, table: string): string {
  if (!MARKED.test(page)) throw new Error("the page has no place for the list of packages");
  return page.replace(MARKED, (_, begin, end) => `${begin}\n${table}\n\n${end}`);
}
