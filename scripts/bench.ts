/**
 * Measures our gateway (the compiled binary) beside the lab's Go gateway, in one run, through the same
 * relay and with the same client. Only the ratios mean something: the machine is whatever it is.
 *
 *   deno task bench [--rounds 5] [--mb 400] [--only up1,down1,…] [--json]
 *   deno task bench --relay [--gateways 200] [--connections 2000] [--rounds 3] [--mb 400] [--json]
 *
 * The second measures our relay beside the lab's, with gateways and clients of the lab. Needs Linux, Go
 * and ../shared/lab, and for the binary what scripts/build.ts needs. BENCH_HOST is the loopback address
 * that is used, 127.0.90.1 unless it is set.
 */
import process from "node:process";
import { Bench, type Subject } from "./bench/bench.ts";
import { measureRelays } from "./bench/relay.ts";
import { type Row, ROWS } from "./bench/rows.ts";
import { median, print, type Result, resultOf } from "./bench/table.ts";

const args = process.argv.slice(2);
const option = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
};
const number = (name: string, otherwise: number) => Number(option(name) ?? otherwise);

async function measure(bench: Bench, row: Row, rounds: number): Promise<Result> {
  const figures: Record<Subject, number[]> = { ours: [], theirs: [] };
  for (let round = 0; round < (row.once ? 1 : rounds); round++) {
    // Who comes first alternates: whatever warms up or wears out does so for both.
    const order: Subject[] = round % 2 === 0 ? ["theirs", "ours"] : ["ours", "theirs"];
    for (const subject of order) figures[subject].push(await row.measure(bench, subject));
  }
  return resultOf(row, median(figures.ours), median(figures.theirs));
}

async function measureGateways(rounds: number, mb: number): Promise<Result[]> {
  const only = option("--only")?.split(",");
  await using bench = await Bench.start(mb);
  const results: Result[] = [];
  for (const row of ROWS) {
    if (only && !only.includes(row.id)) continue;
    results.push(await measure(bench, row, rounds));
    if (!json) print(results.at(-1)!, results.length === 1);
  }
  return results;
}

const json = args.includes("--json");
const mb = number("--mb", 400);
if (args.includes("--relay")) {
  const [gateways, connections] = [number("--gateways", 200), number("--connections", 2000)];
  const rounds = number("--rounds", 3);
  const results = await measureRelays({ gateways, connections, mb, rounds });
  if (json) console.log(JSON.stringify({ gateways, connections, rounds, mb, results }, null, 2));
  else results.forEach((result, i) => print(result, i === 0));
} else {
  const rounds = number("--rounds", 5);
  const results = await measureGateways(rounds, mb);
  if (json) console.log(JSON.stringify({ rounds, mb, results }, null, 2));
}
