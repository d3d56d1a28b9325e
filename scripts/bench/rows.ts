/** What is measured, one row of the table each. */
import { type Bench, binarySize, type Subject } from "./bench.ts";

/** One row. */
export interface Row {
  /** For `--only`. */
  id: string;
  name: string;
  unit: string;
  goal: string;
  met(figures: { ours: number; ratio: number }): boolean;
  /** Measured once, not in rounds. */
  once?: boolean;
  measure(bench: Bench, subject: Subject): Promise<number>;
}

const atLeast = (least: number) => ({ ratio }: { ratio: number }) => ratio >= least;
const atMost = (most: number) => ({ ratio }: { ratio: number }) => ratio <= most;
const MB = 1e6;

function throughput(id: string, mode: "up" | "down", connections: number): Row {
  return {
    id,
    name: `${mode}, ${connections} connection${connections > 1 ? "s" : ""}`,
    unit: "MB/s",
    goal: "ratio >= 1.0",
    met: atLeast(1),
    measure: async (bench, subject) =>
      figure(
        await bench.run(subject, mode, "-mb", String(bench.mb), "-conns", String(connections)),
        /([\d.]+) MB\/s/,
      ),
  };
}

/** Steadier than throughput on a machine that does other things, too. */
function processorTime(id: string, mode: "up" | "down", connections: number): Row {
  return {
    id,
    name: `CPU, ${mode}, ${connections} connection${connections > 1 ? "s" : ""}`,
    unit: "ms/100MB",
    goal: "ratio <= 1.0",
    met: atMost(1),
    measure: async (bench, subject) => {
      const before = await bench.cpu(subject);
      await bench.run(subject, mode, "-mb", String(bench.mb), "-conns", String(connections));
      return (await bench.cpu(subject) - before) / bench.mb * 100;
    },
  };
}

function echo(id: string, which: "p50" | "p99", goal: number): Row {
  return {
    id,
    name: `1-byte echo, ${which}`,
    unit: "us",
    goal: `ratio <= ${goal}`,
    met: atMost(goal),
    measure: async (bench, subject) =>
      duration(await bench.run(subject, "rtt", "-mb", "3000"), new RegExp(`${which} (\\S+)`)),
  };
}

/** The table. */
export const ROWS: Row[] = [
  {
    id: "rest",
    name: "memory at rest",
    unit: "MB",
    goal: "<= 60 MB",
    met: ({ ours }) => ours <= 60,
    once: true,
    measure: async (bench, subject) => (await bench.memory(subject)).now / MB,
  },
  throughput("up1", "up", 1),
  throughput("down1", "down", 1),
  throughput("up8", "up", 8),
  throughput("down8", "down", 8),
  processorTime("cpuup1", "up", 1),
  processorTime("cpudown1", "down", 1),
  processorTime("cpuup8", "up", 8),
  processorTime("cpudown8", "down", 8),
  {
    id: "highest",
    name: "memory, highest at 400 MB",
    unit: "MB",
    goal: "<= 128 MB",
    met: ({ ours }) => ours <= 128,
    once: true,
    measure: async (bench, subject) => {
      await bench.resetMemory(subject);
      for (const mode of ["up", "down"]) {
        for (const connections of ["1", "8"]) {
          await bench.run(subject, mode, "-mb", String(bench.mb), "-conns", connections);
        }
      }
      return (await bench.memory(subject)).highest / MB;
    },
  },
  echo("p50", "p50", 1.1),
  echo("p99", "p99", 1.3),
  {
    id: "setup",
    name: "new connections, 16 at a time",
    unit: "/s",
    goal: "ratio >= 1.0",
    met: atLeast(1),
    measure: async (bench, subject) =>
      figure(
        await bench.run(subject, "setup", "-mb", "400", "-conns", "16"),
        /errors=0 ([\d.]+) conn/,
      ),
  },
  {
    id: "held",
    name: "each of 500 held connections",
    unit: "KB",
    goal: "<= 60 KB",
    met: ({ ours }) => ours <= 60,
    once: true,
    measure: async (bench, subject) => {
      const before = (await bench.memory(subject)).now;
      await using holding = await bench.hold(subject, 500, "3s");
      await holding.line(/hold 500 open, 500 answer/);
      return ((await bench.memory(subject)).now - before) / 500 / 1000;
    },
  },
  {
    id: "start",
    name: "start to ready",
    unit: "s",
    goal: "<= 0.35 s",
    met: ({ ours }) => ours <= 0.35,
    measure: async (bench, subject) => {
      const started = performance.now();
      await using _gateway = await bench.startGateway(subject, `${subject}-${crypto.randomUUID()}`);
      return (performance.now() - started) / 1000;
    },
  },
  {
    id: "size",
    name: "binary",
    unit: "MB",
    goal: "<= 85 MB",
    met: ({ ours }) => ours <= 85,
    once: true,
    measure: async (_bench, subject) => subject === "ours" ? await binarySize() / MB : NaN,
  },
];

/** The figure in what `lab bench` printed. */
export function figure(printed: string, at: RegExp): number {
  const found = at.exec(printed)?.[1];
  if (found === undefined) throw new Error(`lab bench printed no figure: ${printed}`);
  return Number(found);
}

/** Go's way to write a duration, as microseconds. */
function duration(printed: string, at: RegExp): number {
  const text = at.exec(printed)?.[1] ?? "";
  const match = /^([\d.]+)(µs|ms|s)$/.exec(text.trim());
  if (!match) throw new Error(`lab bench printed no time: ${printed}`);
  return Number(match[1]) * { "µs": 1, "ms": 1e3, "s": 1e6 }[match[2]!]!;
}
