/**
 * Measures our gateway (the compiled binary) beside the lab's Go gateway, in one run, through the same
 * relay and with the same client. Only the ratios mean something: the machine is whatever it is.
 *
 *   deno task bench [--rounds 5] [--mb 400] [--only up1,down1,…] [--json]
 *
 * Needs Go and ../shared/lab, and for the binary what scripts/build.ts needs.
 */
import process from "node:process";
import { Bench, type Subject } from "./bench/bench.ts";
import { type Row, ROWS } from "./bench/rows.ts";

interface Options {
  rounds: number;
  mb: number;
  only: string[] | undefined;
  json: boolean;
}

function readOptions(args: string[]): Options {
  const value = (name: string) => {
    const at = args.indexOf(name);
    return at < 0 ? undefined : args[at + 1];
  };
  return {
    rounds: Number(value("--rounds") ?? 5),
    mb: Number(value("--mb") ?? 400),
    only: value("--only")?.split(","),
    json: args.includes("--json"),
  };
}

interface Result {
  name: string;
  unit: string;
  ours: number;
  theirs: number;
  ratio: number;
  goal: string;
  met: boolean;
}

async function measure(bench: Bench, row: Row, rounds: number): Promise<Result> {
  const figures: Record<Subject, number[]> = { ours: [], theirs: [] };
  for (let round = 0; round < (row.once ? 1 : rounds); round++) {
    // Who comes first alternates: whatever warms up or wears out does so for both.
    const order: Subject[] = round % 2 === 0 ? ["theirs", "ours"] : ["ours", "theirs"];
    for (const subject of order) figures[subject].push(await row.measure(bench, subject));
  }
  const [ours, theirs] = [median(figures.ours), median(figures.theirs)];
  const ratio = ours / theirs;
  return {
    name: row.name,
    unit: row.unit,
    ours,
    theirs,
    ratio,
    goal: row.goal,
    met: row.met({ ours, ratio }),
  };
}

function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function show({ name, unit, ours, theirs, ratio, goal, met }: Result): string {
  const figure = (n: number) => Number.isNaN(n) ? "-" : n.toPrecision(4).replace(/\.?0+$/, "");
  return [
    name.padEnd(30),
    `${figure(ours)} ${unit}`.padStart(16),
    `${figure(theirs)} ${unit}`.padStart(16),
    figure(ratio).padStart(8),
    `  ${met ? "met " : "SHORT"} ${goal}`,
  ].join("");
}

const { rounds, mb, only, json } = readOptions(process.argv.slice(2));
await using bench = await Bench.start(mb);
const results: Result[] = [];
if (!json) {
  console.log(`${"".padEnd(30)}${"ours".padStart(16)}${"lab".padStart(16)}${"ratio".padStart(8)}`);
}
for (const row of ROWS) {
  if (only && !only.includes(row.id)) continue;
  const result = await measure(bench, row, rounds);
  results.push(result);
  if (!json) console.log(show(result));
}
if (json) console.log(JSON.stringify({ rounds, mb, results }, null, 2));
