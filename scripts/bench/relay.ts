/** Our relay beside the lab's: many gateways, many connections at once, all others of the lab. */
import { type Child, startChild } from "../../test/child.ts";
import { freePort, listening, runLab, startLab } from "../../test/lab_process.ts";
import { labBinary } from "../../test/requirements.ts";
import { BINARY, build, cpuOf, HOST, memoryOf, type Subject } from "./bench.ts";
import { figure } from "./rows.ts";
import { median, type Result, resultOf, type Subject as Row } from "./table.ts";

const MB = 1e6;

/** How much is put on a relay. */
export interface RelayLoad {
  gateways: number;
  /** Connections at once, spread over the gateways. */
  connections: number;
  /** MiB of a transfer, which goes on beside the connections. */
  mb: number;
  rounds: number;
}

const lower = ({ ratio }: { ratio: number }) => ratio <= 1;
const higher = ({ ratio }: { ratio: number }) => ratio >= 1;
const row = (name: string, unit: string, met: Row["met"]): Row => {
  return { name, unit, met, goal: met === lower ? "ratio <= 1.0" : "ratio >= 1.0" };
};

const ROWS = {
  rest: row("memory at rest", "MB", lower),
  gateway: row("each gateway", "KB", lower),
  setup: row("connections, all at once", "/s", higher),
  setupCpu: row("CPU of a new connection", "ms", lower),
  held: row("each held connection", "KB", lower),
  up: row("up, 8 connections, beside them", "MB/s", higher),
  upCpu: row("CPU, up", "ms/100MB", lower),
  down: row("down, 8 connections, beside them", "MB/s", higher),
  downCpu: row("CPU, down", "ms/100MB", lower),
};

type Figures = Record<keyof typeof ROWS, number>;

/** Measures both in turn. */
export async function measureRelays(load: RelayLoad): Promise<Result[]> {
  await build();
  const figures: Record<Subject, Figures[]> = { ours: [], theirs: [] };
  for (let round = 0; round < load.rounds; round++) {
    const order: Subject[] = round % 2 === 0 ? ["theirs", "ours"] : ["ours", "theirs"];
    for (const subject of order) figures[subject].push(await measureRelay(subject, load));
  }
  return (Object.keys(ROWS) as (keyof typeof ROWS)[]).map((key) => {
    const middle = (subject: Subject) => median(figures[subject].map((one) => one[key]));
    return resultOf(ROWS[key], middle("ours"), middle("theirs"));
  });
}

async function measureRelay(subject: Subject, load: RelayLoad): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const lab = async (args: string[], ready: RegExp | (() => Promise<unknown>)) =>
    stack.use(await startLab(args, ready));
  const api = `http://${HOST}:${await freePort(HOST)}`;
  // Not RSA: making keys for so many would take minutes.
  await lab(["platform", "-addr", new URL(api).host, "-alg", "ecdsa"], /platform on/);
  const target = await freePort("127.0.0.1");
  await lab(["target", "-addr", `127.0.0.1:${target}`], () => listening("127.0.0.1", target));
  const { pid } = stack.use(await startRelay(subject, api));
  const atRest = (await memoryOf(pid)).now;

  const names = Array.from({ length: load.gateways }, (_, n) => `gw${n}`);
  for (const name of names) await lab(["gateway", "-api", api, "-name", name], /connected to/);
  const withGateways = (await memoryOf(pid)).now;

  const bench = ["bench", "-api", api, "-relay", `${HOST}:8443`, "-port", String(target)];
  const each = Math.ceil(load.connections / load.gateways);
  const program = await labBinary();
  const begun = { at: performance.now(), cpu: await cpuOf(pid) };
  const holding = names.map((name) => {
    const args = [...bench, "-name", name, "-mode", "hold", "-conns", String(each)];
    return stack.use(startChild(program, { args, env: { HOLD: "10m" } }));
  });
  await Promise.all(holding.map((held) => held.line(new RegExp(`hold ${each} open, ${each} `))));
  const seconds = (performance.now() - begun.at) / 1000;
  const connections = each * load.gateways;
  const setupCpu = (await cpuOf(pid) - begun.cpu) / connections;
  const withConnections = (await memoryOf(pid)).now;

  const transfer = async (mode: "up" | "down") => {
    const before = await cpuOf(pid);
    const size = String(load.mb);
    const printed = await runLab([
      ...[...bench, "-name", names[0]!, "-mode", mode, "-mb", size, "-conns", "8"],
    ]);
    const cpu = (await cpuOf(pid) - before) / load.mb * 100;
    return { speed: figure(printed, /([\d.]+) MB\/s/), cpu };
  };
  const up = await transfer("up");
  const down = await transfer("down");
  return {
    rest: atRest / MB,
    gateway: (withGateways - atRest) / load.gateways / 1000,
    setup: connections / seconds,
    setupCpu,
    held: (withConnections - withGateways) / connections / 1000,
    up: up.speed,
    upCpu: up.cpu,
    down: down.speed,
    downCpu: down.cpu,
  };
}

async function startRelay(subject: Subject, api: string): Promise<Child> {
  if (subject === "theirs") {
    const addresses = ["-ssh", `${HOST}:2222`, "-tls", `${HOST}:8443`];
    return await startLab(["relay", "-api", api, "-host", HOST, ...addresses], /relay r1: ssh/);
  }
  const relay = startChild(BINARY, {
    args: ["relay", "start", "--name", "r1", "--host", HOST, "--domain", api, "--token", "t"]
      .concat("--ssh-listen", `${HOST}:2222`, "--tls-listen", `${HOST}:8443`),
  });
  await relay.line(/serves gateways on port/);
  return relay;
}
