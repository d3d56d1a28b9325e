/** The commands in README and docs: all of them parse, and blocks behind `<!-- run -->` run. */
import { parse } from "@optique/core/parser";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { root } from "../src/cli/cli.ts";
import { ROOT } from "./requirements.ts";
import { temporaryFolder } from "./temporary.ts";

const RUN = "<!-- run -->";

interface Page {
  name: string;
  text: string;
}

const pages: Page[] = [
  "README.md",
  ...readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
].map((name) => ({ name, text: readFileSync(join(ROOT, name), "utf8") }));

/** Lines of code, continued ones joined. */
function codeOf({ text }: Page): string[] {
  return text.split("\n").filter((line) => line.startsWith("    "))
    .map((line) => line.slice(4)).join("\n").replaceAll(/ *\\\n */g, " ").split("\n");
}

/** The words of a command line, without what belongs to the shell around it. */
function commandOf(line: string): string[] | undefined {
  const match = /^(?:sudo +|[A-Z_]+=\S* +)*sallyport +(.*)$/.exec(line);
  if (!match) return undefined;
  return match[1]!.replace(/ +(#|>|\||&&|<) ?.*$/, "").match(/"[^"]*"|'[^']*'|\S+/g)!
    .map((word) => word.replace(/^(["'])(.*)\1$/, "$2"));
}

/** Help, version and completion are the runner's, and parsed by nobody else. */
function isOfRunner([first = "", ...rest]: readonly string[]): boolean {
  return first === "completion" || [first, ...rest].some((word) => /^--(help|version)$/.test(word));
}

const commands = new Map(
  pages.flatMap((page) =>
    codeOf(page).flatMap((line): [string, string[]][] => {
      const words = commandOf(line);
      return words && !isOfRunner(words) ? [[`${page.name}: ${line.trim()}`, words]] : [];
    })
  ),
);

Deno.test("README and docs have commands", () => {
  assert.ok(commands.size > 30, String(commands.size));
});

for (const [name, words] of commands) {
  Deno.test(`${name} is understood`, () => {
    const result = parse(root, words);
    assert.ok(result.success, JSON.stringify(!result.success && result.error));
  });
}

/** The block of code behind each mark. */
function runnable({ name, text }: Page): { name: string; script: string }[] {
  return text.split(`${RUN}\n`).slice(1).map((rest) => {
    const [, block] = /^\n((?: {4}.*\n|\n)+)/.exec(rest) ?? [];
    assert.ok(block !== undefined, `${name}: no code behind ${RUN}`);
    const script = block.split("\n\n")[0]!.replace(/^ {4}/gm, "");
    return { name: `${name}: ${script.split("\n")[0]}`, script };
  });
}

for (const page of pages) {
  const scripts = runnable(page);
  if (scripts.length === 0) continue;
  Deno.test({
    name: `what ${page.name} says can be run is run, one block after the other`,
    ignore: process.platform === "win32",
    async fn() {
      await using folder = await temporaryFolder();
      const main = join(ROOT, "src", "main.ts");
      const program = join(folder.path, "sallyport");
      await writeFile(
        program,
        `#!/bin/sh\nexec '${Deno.execPath()}' run --quiet --allow-all --no-check '${main}' "$@"\n`,
      );
      await chmod(program, 0o755);
      const env = { ...process.env, PATH: `${folder.path}${delimiter}${process.env.PATH}` };
      for (const { name, script } of scripts) {
        const options = { cwd: folder.path, env, encoding: "utf8" } as const;
        const { status, stderr } = spawnSync("sh", ["-e", "-c", script], options);
        assert.equal(status, 0, `${name}\n${stderr}`);
      }
    },
  });
}
