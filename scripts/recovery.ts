/**
 * How long a tunnel is away after its relay was killed and came back: from the relay listening again to
 * the first echo, for our gateway (the compiled binary) and the lab's, each alone with the lab's relay.
 *
 *   deno task recovery [--rounds 10] [--down 3,30]      (seconds that the relay is down)
 */
import process from "node:process";
import { Bench, type Subject } from "./bench/bench.ts";

function option(name: string, fallback: string): string {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1] ?? fallback;
}

/** ms from the relay listening to the first echo. */
async function recover(bench: Bench, subject: Subject, down: number): Promise<number> {
  await bench.restartRelay(down);
  const listening = performance.now();
  for (;;) {
    const printed = await bench.run(subject, "rtt", "-mb", "1");
    if (printed.includes("p50")) return performance.now() - listening;
    if (performance.now() - listening > 60_000) return Infinity;
  }
}

await using bench = await Bench.start(1);
for (const seconds of option("--down", "3,30").split(",").map(Number)) {
  for (const subject of ["ours", "theirs"] as const) {
    const times: number[] = [];
    for (let round = 0; round < Number(option("--rounds", "10")); round++) {
      times.push(await recover(bench, subject, seconds * 1000));
    }
    times.sort((a, b) => a - b);
    const [median, worst] = [times[times.length >> 1]!, times.at(-1)!];
    console.log(
      `${
        subject === "ours" ? "sallyport" : "lab (Go)"
      }: relay down ${seconds} s, ${times.length} times: ` +
        `median ${median.toFixed(0)} ms, worst ${worst.toFixed(0)} ms`,
    );
  }
}
