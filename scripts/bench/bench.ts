/** The parties of a benchmark: the lab's platform, relay and target, and two gateways behind them. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { type Child, runChild, startChild } from "../../test/child.ts";
import { freePort, listening, runLab, startLab } from "../../test/lab_process.ts";
import { denortPath, labBinary, requirement, ROOT } from "../../test/requirements.ts";

/** The gateway that is measured: this project's, or the lab's in Go. */
export type Subject = "ours" | "theirs";

/** Where the parties listen; a lab relay needs port 2222 there. */
export const HOST = process.env.BENCH_HOST ?? "127.0.90.1";
/** The compiled gateway and relay. */
export const BINARY = join(ROOT, "dist", "sallyport");

/** Everything that runs during a benchmark; disposing ends it. */
export class Bench {
  readonly #stack = new AsyncDisposableStack();
  readonly #gateways = new Map<Subject, Child>();
  #relay: Child | undefined;
  #relayArguments: string[] = [];
  readonly #api: string;
  readonly #targetPort: number;

  private constructor(api: string, targetPort: number, readonly mb: number) {
    this.#api = api;
    this.#targetPort = targetPort;
  }

  /** Builds the binary and starts all parties. */
  static async start(mb: number): Promise<Bench> {
    await build();
    const api = `http://${HOST}:${await freePort(HOST)}`;
    const bench = new Bench(api, await freePort("127.0.0.1"), mb);
    try {
      await bench.#start();
      return bench;
    } catch (error) {
      await bench[Symbol.asyncDispose]();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #start(): Promise<void> {
    const use = async (args: string[], ready: RegExp) => {
      return this.#stack.use(await startLab(args, ready));
    };
    await use(["platform", "-addr", new URL(this.#api).host, "-alg", "rsa"], /platform on/);
    const addresses = ["-ssh", `${HOST}:2222`, "-tls", `${HOST}:8443`];
    this.#relayArguments = ["relay", "-api", this.#api, "-host", HOST, ...addresses];
    this.#relay = await use(this.#relayArguments, /relay r1: ssh/);
    const target = ["target", "-addr", `127.0.0.1:${this.#targetPort}`];
    this.#stack.use(await startLab(target, () => listening("127.0.0.1", this.#targetPort)));
    this.#gateways.set("theirs", await this.startGateway("theirs"));
    this.#gateways.set("ours", await this.startGateway("ours"));
  }

  /** Kills the relay and starts it again after `down` ms; resolves when it listens. */
  async restartRelay(down: number): Promise<void> {
    await this.#relay![Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, down));
    this.#relay = this.#stack.use(await startLab(this.#relayArguments, /relay r1: ssh/));
  }

  /** Starts a gateway and waits until its tunnel is up; it ends with the benchmark. */
  async startGateway(subject: Subject, name: string = subject): Promise<Child> {
    if (subject === "theirs") {
      const args = ["gateway", "-api", this.#api, "-name", name];
      return this.#stack.use(await startLab(args, /connected to/));
    }
    const child = this.#stack.use(startChild(BINARY, {
      args: ["gateway", "start", name, "--relay", "r1", "--domain", this.#api, "--token", "t"]
        .concat("--health-listen", "off"),
    }));
    await child.line(/tunnel is up/);
    return child;
  }

  /** Runs `lab bench` through one gateway and gives what it printed. */
  async run(subject: Subject, mode: string, ...more: string[]): Promise<string> {
    return await runLab([
      ...["bench", "-api", this.#api, "-relay", `${HOST}:8443`, "-name", subject],
      ...["-port", String(this.#targetPort), "-mode", mode, ...more],
    ]);
  }

  /** A `lab bench` that goes on beside what is measured. */
  hold(subject: Subject, connections: number, time: string): Promise<Child> {
    return startLabBench([
      ...["bench", "-api", this.#api, "-relay", `${HOST}:8443`, "-name", subject],
      ...["-port", String(this.#targetPort), "-mode", "hold", "-conns", String(connections)],
    ], time);
  }

  /** Memory of a gateway now, and at its highest since `resetMemory`, bytes. */
  memory(subject: Subject): Promise<{ now: number; highest: number }> {
    return memoryOf(this.#pid(subject));
  }

  /** Processor time that a gateway has used so far, ms. */
  cpu(subject: Subject): Promise<number> {
    return cpuOf(this.#pid(subject));
  }

  /** Forgets the high-water mark. */
  async resetMemory(subject: Subject): Promise<void> {
    await writeFile(`/proc/${this.#pid(subject)}/clear_refs`, "5");
  }

  #pid(subject: Subject): number {
    return this.#gateways.get(subject)!.pid;
  }
}

/** Memory of a process now, and at its highest, bytes. */
export async function memoryOf(pid: number): Promise<{ now: number; highest: number }> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1]);
  return { now: kib("VmRSS") * 1024, highest: kib("VmHWM") * 1024 };
}

/** Processor time of a process, all threads, ms; Linux counts it in hundredths of a second. */
export async function cpuOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Bytes of the binary. */
export async function binarySize(): Promise<number> {
  return (await stat(BINARY)).size;
}

async function startLabBench(args: string[], time: string): Promise<Child> {
  return startChild(await labBinary(), { args, env: { HOLD: time } });
}

/** Builds the binary. */
export async function build(): Promise<void> {
  const { status, err } = await runChild(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", join(ROOT, "scripts", "build.ts")],
    env: requirement("denort").ignore ? {} : { DENORT_BIN: await denortPath() },
  });
  if (status !== 0) throw new Error(`the binary was not built:\n${err}`);
}
