/**
 * The long form of test/faults/soak_test.ts: streams through a system of ours on loopback, and what the
 * gateway and the relay hold meanwhile.
 *
 *   deno task soak [--streams 20000] [--minutes 30]     ends when both are reached
 */
import process from "node:process";
import { loopbackArena } from "../test/faults/arena.ts";
import { type Sample, soak } from "../test/faults/soak.ts";
import { FaultSystem } from "../test/faults/system.ts";

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

const [streams, minutes] = [option("--streams", 20_000), option("--minutes", 30)];
const until = performance.now() + minutes * 60_000;
await using system = await FaultSystem.start({ arena: loopbackArena("127.0.50.10") });
console.log(
  "| streams | gateway MiB | handles | relay MiB | handles |\n| --- | --- | --- | --- | --- |",
);
await soak(system, {
  every: 1000,
  more: (done) => done < streams || performance.now() < until,
  onSample: ({ streams, gateway, relay }: Sample) =>
    console.log(
      `| ${streams} | ${gateway.memory.toFixed(0)} | ${gateway.handles} ` +
        `| ${relay.memory.toFixed(0)} | ${relay.handles} |`,
    ),
});
