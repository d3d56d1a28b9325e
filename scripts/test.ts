/**
 * Runs the tests and ends with one plain line, `N passed, N failed, N skipped`. Names what was skipped
 * because the machine lacks something that a test needs (test/requirements.ts).
 */
import process from "node:process";

const SUMMARY = /\| (\d+) passed.*?\| (\d+) failed(?:.*?\| (\d+) ignored)?/;

const { success, output } = await runTests(process.argv.slice(2));
const lines = output.split("\n");
const summary = SUMMARY.exec(lines.findLast((line) => SUMMARY.test(line)) ?? "");
const [passed, counted, skipped] = (summary?.slice(1) ?? []).map((text) => Number(text ?? 0)) as [
  ...[number?, number?, number?],
];
// A test file that does not load fails without being counted.
const failed = success ? counted ?? 0 : Math.max(counted ?? 0, 1);
const names = lines.filter((line) => / \.\.\. ignored/.test(line))
  .map((line) => line.replace(/ \.\.\. ignored.*/, ""));
if (names.length > 0) {
  console.log("\nskipped, because this machine lacks what they need (test/requirements.ts):");
  for (const name of names) console.log(`  ${name}`);
}
console.log(`${passed ?? 0} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
process.exit(success ? 0 : 1);

/** Everything that is printed is shown as it comes, and given back without colours. */
async function runTests(args: string[]): Promise<{ success: boolean; output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--no-check", ...(args.length > 0 ? args : ["test/"])],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    process.stdout.write(text);
  }
  const { success } = await child.status;
  // deno-lint-ignore no-control-regex
  return { success, output: output.replace(/\x1b\[[0-9;]*m/g, "") };
}
