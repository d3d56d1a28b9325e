/**
 * Runs the tests and ends with one plain line, `N passed, N failed, N skipped`. Names what was skipped
 * because the machine lacks something that a test needs (test/requirements.ts). Every secret that the
 * tests made is looked for in everything that was printed or logged, and fails if it is there.
 *
 *   deno task test                          everything, the faults last
 *   deno task test test/ssh                 what is named
 *   deno task test:faults [--long] [--write] the faults alone; with cuts of minutes; and writes the
 *                                            measured figures into docs/reliability.md
 *
 * Faults run in a network and mount namespace of their own where the machine permits it: what they do
 * to a network then touches no other program.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Figure, FIGURES } from "../test/faults/figures.ts";
import { labBinary, requirement, ROOT } from "../test/requirements.ts";
import { findLeaks, WATCH } from "../test/secret_watch.ts";

const FAULTS = "test/faults";
const PRELOAD = "test/secret_preload.ts";
const SUMMARY = /\| (\d+) passed.*?\| (\d+) failed(?:.*?\| (\d+) ignored)?/;

const options = new Set(process.argv.slice(2).filter((argument) => argument.startsWith("--")));
const named = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const total = { passed: 0, failed: 0, skipped: [] as string[] };
/** Where tests note the secrets that they make, and everything that was printed. */
const watch = mkdtempSync(join(tmpdir(), "sallyport-watch-"));
const printed: string[] = [];

if (named.length > 0) {
  await runTests([], named);
} else {
  if (!options.has("--faults")) await runTests([], [`--ignore=${FAULTS}`, "test/"]);
  await runFaults();
}
const { secrets, leaks } = findLeaks(watch, printed);
rmSync(watch, { recursive: true });
if (leaks.length > 0) {
  console.log("\nsecrets that are in the output of the suite (test/secret_watch.ts):");
  for (const { name, line } of leaks) console.log(`  ${name}: ${line.slice(0, 300)}`);
  total.failed += leaks.length;
} else {
  console.log(`\nnone of the ${secrets} secrets that the tests made is in any output`);
}
if (total.skipped.length > 0) {
  console.log("\nskipped, because this machine lacks what they need (test/requirements.ts):");
  for (const name of total.skipped) console.log(`  ${name}`);
}
const { passed, failed, skipped } = total;
console.log(
  `${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`,
);
process.exit(failed === 0 ? 0 : 1);

async function runFaults(): Promise<void> {
  // What a build fetches cannot be had inside.
  if (!requirement("go").ignore) await labBinary();
  const folder = mkdtempSync(join(tmpdir(), "sallyport-figures-"));
  try {
    const figures = join(folder, "figures");
    writeFileSync(figures, "");
    await runTests(ownNamespace(), [FAULTS], {
      [FIGURES]: figures,
      ...(options.has("--long") ? { SALLYPORT_TEST_LONG: "1" } : {}),
    });
    if (options.has("--write")) writeTable(readFileSync(figures, "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The command that runs another one in namespaces of its own; empty where that is not permitted. */
function ownNamespace(): string[] {
  const root = process.getuid?.() === 0;
  const unshare = ["unshare", ...(root ? [] : ["--map-root-user"]), "--net", "--mount"];
  const up = ["sh", "-c", 'ip link set lo up && SALLYPORT_TEST_NAMESPACE=1 exec "$@"', "sh"];
  const command = [...unshare, ...up];
  return spawnSync(command[0]!, [...command.slice(1), "true"]).status === 0 ? command : [];
}

/** The table in docs/reliability.md, between its two marks. */
function writeTable(figures: string): void {
  const lines = figures.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Figure);
  const rows = [["fault", "what happens"], ["---", "---"], ...lines.map((f) => [f.fault, f.result])]
    .map((cells) => `| ${cells.join(" | ")} |`);
  const path = join(ROOT, "docs", "reliability.md");
  const marked = /(<!-- faults -->\n)[^]*?(<!-- end of faults -->)/;
  const text = readFileSync(path, "utf8");
  if (!marked.test(text)) throw new Error(`${path} has no place for the table of faults`);
  writeFileSync(
    path,
    text.replace(marked, (_, begin, end) => `${begin}\n${rows.join("\n")}\n\n${end}`),
  );
  spawnSync(Deno.execPath(), ["fmt", "--quiet", path]);
}

/** Everything that is printed is shown as it comes, and counted. */
async function runTests(
  within: string[],
  what: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const [command, ...args] = [
    ...[...within, Deno.execPath()],
    ...["test", "--allow-all", "--no-check", `--preload=${PRELOAD}`, ...what],
  ];
  const child = new Deno.Command(command!, {
    args,
    env: { ...env, [WATCH]: watch },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const pass = async (from: ReadableStream<Uint8Array<ArrayBuffer>>, to: NodeJS.WriteStream) => {
    let whole = "";
    for await (const text of from.pipeThrough(new TextDecoderStream())) {
      whole += text;
      to.write(text);
    }
    printed.push(whole);
    return whole;
  };
  const [output] = await Promise.all([
    pass(child.stdout, process.stdout),
    pass(child.stderr, process.stderr),
  ]);
  const { success } = await child.status;
  // deno-lint-ignore no-control-regex
  const lines = output.replace(/\x1b\[[0-9;]*m/g, "").split("\n");
  const summary = SUMMARY.exec(lines.findLast((line) => SUMMARY.test(line)) ?? "");
  total.passed += Number(summary?.[1] ?? 0);
  // A test file that does not load fails without being counted.
  const counted = Number(summary?.[2] ?? 0);
  total.failed += success ? counted : Math.max(counted, 1);
  total.skipped.push(
    ...lines.filter((line) => / \.\.\. ignored/.test(line))
      .map((line) => line.replace(/ \.\.\. ignored.*/, "")),
  );
}
