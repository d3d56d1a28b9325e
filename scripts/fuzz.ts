/**
 * The property-based fuzzes of the suite (test/**\/*fuzz_test.ts), round after round with other cases.
 * Ends when the time is over, or at the first round that fails, whose output it shows.
 *
 *   deno task fuzz [--minutes 10] [test/ssh …]
 *   deno task fuzz --round 1234 [test/ssh …]         one round again
 */
import { randomInt } from "node:crypto";
import { globSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { ROUND } from "../test/fuzz.ts";
import { ROOT } from "../test/requirements.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string", default: "10" }, round: { type: "string" } },
});
const files = globSync("test/**/*fuzz_test.ts", { cwd: ROOT })
  .filter((file) => positionals.length === 0 || positionals.some((name) => file.startsWith(name)));
const started = performance.now();
const until = started + Number(values.minutes) * 60_000;
let rounds = 0;

/** Whether the round went well. */
async function run(round: string): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--no-check", ...files],
    cwd: ROOT,
    env: { [ROUND]: round },
    stdin: "null",
  });
  const { success, stdout, stderr } = await child.output();
  rounds++;
  if (!success) {
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    console.log(`\nround ${round} fails: deno task fuzz --round ${round} ${positionals.join(" ")}`);
  }
  return success;
}

let well = true;
if (files.length === 0) throw new Error("there is no such fuzz");
if (values.round !== undefined) well = await run(values.round);
else while (well && performance.now() < until) well = await run(String(randomInt(2 ** 30)));
const minutes = ((performance.now() - started) / 60_000).toFixed(1);
console.log(`${rounds} rounds of ${files.length} files in ${minutes} minutes`);
process.exit(well ? 0 : 1);
