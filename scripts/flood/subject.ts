/** A server under load: a tunnel through it, honest newcomers at its ports, and what it takes. */
import { readdir, readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { Order } from "../../test/faults/target.ts";

/** One of the two servers. */
export interface Subject extends AsyncDisposable {
  name: string;
  host: string;
  /** Ports that strangers reach. */
  ports: { ssh: number; tls?: number };
  /** The server's first process. */
  pid: number;
  /** A connection through the tunnel to the target. */
  dial(): Promise<Socket>;
  /** Somebody who may come in, at one of the ports: resolves when he is, rejects if he is not. */
  newcomer(port: "ssh" | "tls", signal: AbortSignal): Promise<void>;
}

/** What one window of time has shown. */
export interface Figures {
  /** Bytes a second through the tunnel. */
  throughput: number;
  /** ms of each newcomer who got in. */
  logins: number[];
  /** Highest sum over the server's processes, MiB; what they share is counted once (PSS). */
  memory: number;
  /** Processor time of the server's processes that live, s a second. */
  processor: number;
}

/** Time for which the tunnel is measured, ms. */
const WINDOW = 4_000;
const NEWCOMERS = 10;
/** Time between two newcomers, ms. */
const EVERY = 300;
/** A newcomer gives up after this, ms. */
const PATIENCE = 20_000;
const TICKS_PER_SECOND = 100;

let streams = 0;

/** Measures a subject as it is at the moment. */
export async function measure(subject: Subject, port: "ssh" | "tls"): Promise<Figures> {
  let memory = 0;
  let over = false;
  const watching = (async () => {
    while (!over) {
      memory = Math.max(memory, await memoryOf(await tree(subject.pid)));
      await pause(250);
    }
  })();
  const before = await ticksOf(await tree(subject.pid));
  const started = performance.now();
  const throughput = await through(subject);
  const ticks = await ticksOf(await tree(subject.pid)) - before;
  const processor = ticks / TICKS_PER_SECOND / ((performance.now() - started) / 1000);
  const logins: number[] = [];
  const visits = [];
  for (let i = 0; i < NEWCOMERS; i++) {
    const began = performance.now();
    visits.push(
      subject.newcomer(port, AbortSignal.timeout(PATIENCE))
        .then(() => logins.push(performance.now() - began), () => {}),
    );
    await pause(EVERY);
  }
  await Promise.all(visits);
  over = true;
  await watching;
  return { throughput, logins, memory, processor };
}

/** A stream without an end from the target, for the time of a window. */
export async function through(subject: Subject): Promise<number> {
  const socket = await subject.dial();
  let bytes = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk) => bytes += chunk.length);
  const order: Order = { id: `flood-${++streams}`, down: Number.MAX_SAFE_INTEGER };
  socket.write(`${JSON.stringify(order)}\n`);
  await pause(1_000);
  const [from, first] = [performance.now(), bytes];
  await pause(WINDOW);
  const rate = (bytes - first) / ((performance.now() - from) / 1000);
  socket.destroy();
  return rate;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A process and all below it. */
async function tree(root: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await statOf(Number(name));
    if (stat) parents.set(Number(name), Number(stat[1]));
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || isBelow(parents.get(pid)));
  return [...parents.keys()].filter(isBelow);
}

/** The fields of /proc/PID/stat behind the name, which begin with the state. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

async function memoryOf(pids: number[]): Promise<number> {
  let sum = 0;
  for (const pid of pids) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
    sum += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024;
  }
  return sum;
}

/** User and system time, with that of children that have ended. */
async function ticksOf(pids: number[]): Promise<number> {
  let sum = 0;
  for (const pid of pids) {
    const stat = await statOf(pid);
    if (stat) { for (const field of [11, 12, 13, 14]) sum += Number(stat[field]); }
  }
  return sum;
}
