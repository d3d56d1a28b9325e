/**
 * What strangers can do to a server before they log in: our relay and OpenSSH's sshd, in one run, on
 * loopback, each with an authenticated tunnel, under each kind of load (test/faults/flood.ts).
 *
 *   deno task flood [--connections 5000] [--loads silent,keys] [--only sallyport]
 *                   [--addresses 1]      that the strangers come from
 *                   [--again 5000]       ms until one that was turned out comes back, about
 *
 * Needs Linux and some 2 × connections descriptors a process (ulimit -n).
 */
import { join } from "node:path";
import process from "node:process";
import { type Child, startChild } from "../test/child.ts";
import { type Flood, type Load, LOADS } from "../test/faults/flood.ts";
import { ROOT } from "../test/requirements.ts";
import { openssh } from "./flood/openssh.ts";
import { sallyport } from "./flood/sallyport.ts";
import { type Figures, measure, pause, type Subject, through } from "./flood/subject.ts";

function option(name: string, fallback: string): string {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1] ?? fallback;
}

const count = Number(option("connections", "5000"));
const loads = option("loads", LOADS.join()).split(",") as Load[];
const again = Number(option("again", "5000"));
/** Where the strangers come from, and the honest. */
const from = Array.from(
  { length: Number(option("addresses", "1")) },
  (_, i) => `127.0.72.${100 + i}`,
);
const HONEST = "127.0.72.2";
const BYSTANDER = "127.0.72.4";

/** Time for a load to come to its height, ms. */
const SETTLE = 3_000;

function start(script: string, ...args: string[]): Child {
  const deno = ["run", "--quiet", "--allow-all", "--no-check", join(ROOT, script)];
  return startChild(Deno.execPath(), { args: [...deno, ...args] });
}

async function underLoad(subject: Subject, flood: Flood): Promise<Figures & { rate: number }> {
  await using strangers = start("test/faults/flood.ts", JSON.stringify(flood));
  await strangers.line(/flood begun/);
  await pause(SETTLE);
  const opened = () => Number(/"opened":(\d+)/.exec(strangers.log.split("\n").at(-1)!)?.[1] ?? 0);
  const [first, started] = [opened(), performance.now()];
  const figures = await measure(subject, flood.protocol);
  const rate = (opened() - first) / ((performance.now() - started) / 1000);
  return { ...figures, rate };
}

async function report(subject: Subject, name: string, flood: Flood): Promise<void> {
  // Just before and just after, because other work of the machine comes and goes.
  const before = await through(subject);
  const { logins, memory, processor, throughput, rate } = await underLoad(subject, flood);
  await pause(SETTLE);
  const alone = (before + await through(subject)) / 2;
  const median = logins.toSorted((a, b) => a - b)[logins.length >> 1];
  const cells = [
    `${subject.name}, ${name}`,
    (alone / 1e6).toFixed(0),
    (throughput / 1e6).toFixed(0),
    (throughput / alone).toFixed(2),
    `${logins.length} of 10`,
    median === undefined ? "—" : `${median.toFixed(0)} ms`,
    memory.toFixed(0),
    processor.toFixed(2),
    rate.toFixed(0),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

console.log(
  `${count} connections from ${from.length} address(es)\n\n` +
    "| load | MB/s without | MB/s with | ratio | newcomers in | median | MiB | processor | new/s |\n" +
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
);
for (const [name, begin] of Object.entries({ sallyport, openssh })) {
  if (!option("only", name).split(",").includes(name)) continue;
  await using subject = await begin(name === "openssh" ? "127.0.72.3" : "127.0.72.1", HONEST);
  // To be warm.
  await through(subject);
  await using bystander = start("scripts/flood/bystander.ts", BYSTANDER);
  const elsewhere = Number((await bystander.line(/bystander on/)).split(" ").at(-1));
  const flood = { count, from, again };
  await report(subject, "elsewhere: silent", {
    ...flood,
    protocol: "ssh",
    loads: ["silent"],
    host: BYSTANDER,
    port: elsewhere,
  });
  for (const protocol of ["ssh", "tls"] as const) {
    const port = subject.ports[protocol];
    for (const load of port === undefined ? [] : loads) {
      if (protocol === "tls" && (load === "keys" || load === "costly")) continue;
      const { host } = subject;
      await report(subject, `${protocol}: ${load}`, {
        ...flood,
        protocol,
        host,
        port: port!,
        loads: [load],
      });
    }
  }
}
