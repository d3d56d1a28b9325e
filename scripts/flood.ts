/**
 * What strangers can do to a server before they log in: our relay and OpenSSH's sshd, in one run, on
 * loopback, each with an authenticated tunnel, under each kind of load (test/faults/flood.ts).
 *
 *   deno task flood [--connections 5000] [--loads silent,keys] [--only sallyport]
 *                   [--addresses 1]      that the strangers come from
 *                   [--again 1000]       ms until one that was turned out comes back, about
 *
 * Needs Linux and some 2 × connections descriptors a process (ulimit -n).
 */
import { join } from "node:path";
import process from "node:process";
import { startChild } from "../test/child.ts";
import { type Flood, type Load, LOADS } from "../test/faults/flood.ts";
import { ROOT } from "../test/requirements.ts";
import { openssh } from "./flood/openssh.ts";
import { sallyport } from "./flood/sallyport.ts";
import { type Figures, measure, type Subject } from "./flood/subject.ts";

function option(name: string, fallback: string): string {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1] ?? fallback;
}

const count = Number(option("connections", "5000"));
const loads = option("loads", LOADS.join()).split(",") as Load[];
const again = Number(option("again", "1000"));
/** Where the strangers come from, and the honest. */
const from = Array.from(
  { length: Number(option("addresses", "1")) },
  (_, i) => `127.0.72.${100 + i}`,
);
const HONEST = "127.0.72.2";

async function underLoad(subject: Subject, flood: Flood): Promise<Figures & { rate: number }> {
  const args = ["run", "--quiet", "--allow-all", "--no-check"];
  args.push(join(ROOT, "test/faults/flood.ts"), JSON.stringify(flood));
  await using strangers = startChild(Deno.execPath(), { args });
  await strangers.line(/flood begun/);
  const opened = () => Number(/"opened":(\d+)/.exec(strangers.log.split("\n").at(-1)!)?.[1] ?? 0);
  const [first, started] = [opened(), performance.now()];
  const figures = await measure(subject, flood.protocol);
  const rate = (opened() - first) / ((performance.now() - started) / 1000);
  return { ...figures, rate };
}

function row(name: string, base: Figures, figures: Figures, rate?: number): string {
  const { logins, memory, processor, throughput } = figures;
  const sorted = logins.toSorted((a, b) => a - b);
  const median = sorted.length > 0 ? `${sorted[sorted.length >> 1]!.toFixed(0)} ms` : "—";
  return `| ${name} | ${(throughput / 1e6).toFixed(0)} | ${
    (throughput / base.throughput).toFixed(2)
  } | ${logins.length} | ${median} | ${memory.toFixed(0)} | ${processor.toFixed(2)} | ${
    rate?.toFixed(0) ?? "—"
  } |`;
}

for (const [name, start] of Object.entries({ sallyport, openssh })) {
  if (!option("only", name).split(",").includes(name)) continue;
  await using subject = await start(name === "openssh" ? "127.0.72.3" : "127.0.72.1", HONEST);
  console.log(
    `\n${subject.name}, ${count} connections from ${from.length} address(es)\n\n` +
      "| load | MB/s | ratio | of 10 in | median | memory, MiB | processor | connections/s |\n" +
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
  );
  for (const protocol of ["ssh", "tls"] as const) {
    const port = subject.ports[protocol];
    if (port === undefined) continue;
    const base = await measure(subject, protocol);
    console.log(row(`${protocol}: none`, base, base));
    for (const load of loads) {
      if (protocol === "tls" && (load === "keys" || load === "costly")) continue;
      const { host } = subject;
      const flood = { protocol, host, port, load, count, from, again };
      const { rate, ...figures } = await underLoad(subject, flood);
      console.log(row(`${protocol}: ${load}`, base, figures, rate));
    }
  }
}
