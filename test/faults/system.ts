/**
 * A whole system of real processes, each of which can be killed, stopped and started again: platform,
 * relay, gateway and target; the client is the test itself.
 */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ConnectionGrant } from "../../src/client/stream.ts";
import { PlatformApi } from "../../src/enroll/api.ts";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import type { Child } from "../child.ts";
import { V8_FLAGS } from "../../scripts/v8_flags.ts";
import { freePort, listening } from "../lab_process.ts";
import { GATEWAY, labGrant, RELAY } from "../interop/lab_system.ts";
import { openPort } from "../interop/traffic.ts";
import { labBinary, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { type Arena, here, type Place } from "./arena.ts";
import { exchange, type Order, type Report } from "./target.ts";

/** With the V8 flags of the binary: they decide how much memory is used. */
const PROGRAM = ["run", "--quiet", "--allow-all", "--no-check", V8_FLAGS];

/** Whose relay and platform. */
export interface FaultOptions {
  arena: Arena;
  /** The lab's (Go), or ours. @default "ours" */
  relay?: "ours" | "lab";
  /** How long certificates live, for the lab's platform, such as "45s"; ours else. */
  labPlatform?: string;
  /** Further arguments of `gateway start`. */
  gateway?: string[];
  /** Variables of the gateway's process. */
  gatewayEnv?: Record<string, string>;
  /** @default a temporary folder */
  stateDir?: string;
  /** Where our relay listens, if that is not where gateways and clients find it. */
  relayListen?: string;
}

/** A part that runs as a process. */
export type Part = "platform" | "relay" | "gateway" | "target";

/** What both ends of one stream saw. */
export interface Transfer {
  client: Report;
  target: Report;
}

/** A stream that has begun, seen from the client. */
export interface Stream {
  id: string;
  socket: Socket;
  /** Resolves when so many bytes have come back; rejects if it closes before. */
  passed(bytes: number): Promise<void>;
  done: Promise<Report>;
}

/** The parts, and streams through them. */
export class FaultSystem implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #parts = new Map<Part, Child>();
  readonly #commands = new Map<Part, () => Promise<Child>>();
  #dial: (() => ReturnType<Awaited<ReturnType<typeof openPort>>["dial"]>) | undefined;
  #count = 0;
  /** Of the target, on 127.0.0.1. */
  targetPort = 0;
  /** `http://…` */
  url = "";
  token = "tok";

  private constructor(readonly options: FaultOptions) {}

  /** Everything is started, in order, and the tunnel is up. */
  static async start(options: FaultOptions): Promise<FaultSystem> {
    const system = new FaultSystem(options);
    try {
      await system.#start();
      return system;
    } catch (error) {
      const logs = [...system.#parts].map(([part, { log }]) => `--- ${part}\n${log}`).join("\n");
      await system[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${logs}`, { cause: error });
    }
  }

  /** The process of a part; what it printed is in its log. */
  part(name: Part): Child {
    return this.#parts.get(name)!;
  }

  /** Starts a part again after its end, and waits until it is ready (a gateway: until it is up). */
  async restart(name: Part): Promise<void> {
    const child = await this.#commands.get(name)!();
    this.#parts.set(name, child);
  }

  /** Ends a part without a word, and waits until it is gone. */
  async kill(name: Part): Promise<void> {
    const child = this.part(name);
    child.kill("SIGKILL");
    await child.status;
  }

  /** One stream, `up` and `down` bytes at the same time; ends when both ends have. */
  async transfer(up: number, down: number, pause?: number): Promise<Transfer> {
    return await this.both(await this.begin(up, down, pause));
  }

  /** A connection to the client's port: what is written to it reaches the target. */
  async dial(): Promise<Socket> {
    return await this.#dial!();
  }

  /** Begins one stream. */
  async begin(up: number, down: number, pause?: number): Promise<Stream> {
    const id = `stream-${++this.#count}`;
    const socket = await this.#dial!();
    const order: Order = { id, down, pause };
    socket.write(`${JSON.stringify(order)}\n`);
    let size = 0;
    socket.on("data", (chunk) => size += chunk.length);
    return {
      id,
      socket,
      passed: (bytes) =>
        new Promise((resolve, reject) => {
          socket.on("data", () => size >= bytes && resolve());
          socket.once("close", () => reject(new Error(`${id} closed after ${size} bytes`)));
        }),
      done: exchange(socket, { id, size: up, seed: `${id} up`, pause }),
    };
  }

  /** What both ends of a stream saw, when it is over. */
  async both({ id, done }: Stream): Promise<Transfer> {
    const client = await done;
    const late = delay(REPORT_LIMIT, undefined, { ref: false }).then(() => {
      throw new Error(`the target has nothing to tell of ${id}; the client: ${client.broken}`);
    });
    const seen = this.part("target").line(new RegExp(`^{"id":"${id}"`));
    return { client, target: JSON.parse(await Promise.race([seen, late])) as Report };
  }

  /**
   * Waits until a new stream passes; gives the ms that took. One is begun every 100 ms, as users do
   * who do not know of each other.
   */
  async recovered(): Promise<number> {
    const from = performance.now();
    const over = new AbortController();
    try {
      return await new Promise<number>((resolve, reject) => {
        const attempt = async () => {
          try {
            const { done } = await this.begin(1, 1);
            if ((await done).received?.size === 1) resolve(performance.now() - from);
          } catch (error) {
            if (!over.signal.aborted) reject(error);
          }
        };
        const timer = setInterval(() => void attempt(), 100);
        over.signal.addEventListener("abort", () => clearInterval(timer));
        void attempt();
      });
    } finally {
      over.abort();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #start(): Promise<void> {
    const { arena: { host, inside }, labPlatform } = this.options;
    this.#stack.defer(() => this.#endAll());
    const port = await freePort(host);
    this.targetPort = await freePort("127.0.0.1");
    this.url = `http://${host}:${port}`;
    const grant = labPlatform === undefined
      ? await this.#ownPlatform(`${host}:${port}`)
      : await this.#labPlatform(`${host}:${port}`, labPlatform);
    const begin = async (part: Part, start: () => Promise<Child>) => {
      this.#commands.set(part, start);
      await this.restart(part);
    };
    await begin("target", async () => {
      const args = [...PROGRAM, join(ROOT, "test/faults/target.ts"), String(this.targetPort)];
      return await ready(inside.start(Deno.execPath(), args), /target ready/);
    });
    await begin("relay", () => this.#relay());
    await begin("gateway", () => this.#gateway());
    const { dial } = this.#stack.use(await openPort(grant));
    this.#dial = dial;
    await this.recovered();
  }

  async #ownPlatform(address: string): Promise<() => Promise<ConnectionGrant>> {
    const folder = this.#stack.use(await temporaryFolder());
    const dataDir = join(folder.path, "data");
    await initPlatform({ dataDir, keyType: "ecdsa" });
    const admin = PlatformAdmin.open(dataDir);
    const { id } = admin.createIdentity({ name: "all", roles: ["gateway", "relay", "client"] });
    this.token = admin.createIdentityToken({ identity: id }).token;
    admin.close();
    this.#commands.set("platform", () => {
      const args = ["platform", "start", "--data", dataDir, "--listen", address];
      return ready(this.#sallyport(here, args), /the platform is on/);
    });
    await this.restart("platform");
    const api = new PlatformApi({ domain: this.url, token: () => this.token });
    return () =>
      api.openConnection({
        gateway: GATEWAY,
        targetHost: "127.0.0.1",
        targetPort: this.targetPort,
      });
  }

  async #labPlatform(address: string, ttl: string): Promise<() => Promise<ConnectionGrant>> {
    const binary = await labBinary();
    const [host, port] = address.split(":") as [string, string];
    this.#commands.set("platform", async () => {
      const args = ["platform", "-addr", address, "-alg", "ecdsa", "-ttl", ttl];
      const child = here.start(binary, args);
      await listening(host, Number(port));
      return child;
    });
    await this.restart("platform");
    return () => labGrant(this.url, host, { targetHost: "127.0.0.1", targetPort: this.targetPort });
  }

  async #relay(): Promise<Child> {
    const { arena: { host }, relay = "ours", relayListen = host } = this.options;
    const [ssh, tls] = [`${relayListen}:2222`, `${relayListen}:8443`];
    if (relay === "lab") {
      const args = ["relay", "-api", this.url, "-token", this.token, "-relay-name", RELAY];
      args.push("-host", host, "-ssh", ssh, "-tls", tls);
      return await ready(here.start(await labBinary(), args), /relay r1: ssh/);
    }
    const args = ["relay", "start", "--name", RELAY, "--host", host, "--domain", this.url];
    args.push("--ssh-listen", ssh, "--tls-listen", tls);
    return await ready(this.#sallyport(here, args), /relay r1 serves/);
  }

  async #gateway(): Promise<Child> {
    const { arena: { inside }, gateway = [], gatewayEnv } = this.options;
    const args = ["gateway", "start", GATEWAY, "--relay", RELAY, "--domain", this.url];
    args.push("--health-listen", "127.0.0.1:0", ...gateway);
    const child = this.#sallyport(inside, args, gatewayEnv);
    return await ready(child, /tunnel is up/);
  }

  #sallyport(place: Place, args: string[], env?: Record<string, string>): Child {
    return place.start(Deno.execPath(), [...PROGRAM, join(ROOT, "src/main.ts"), ...args], {
      INFISICAL_TOKEN: this.token,
      SALLYPORT_STATE_DIR: this.options.stateDir ?? "/nonexistent",
      ...env,
    });
  }

  /** In reverse order, without a word; a stopped process can be killed too. */
  async #endAll(): Promise<void> {
    for (const child of [...this.#parts.values()].reverse()) await child[Symbol.asyncDispose]();
  }
}

/** The target tells of a stream within this time after the client does, ms. */
const REPORT_LIMIT = 25_000;
/** A part that is not ready after this long never will be, ms. */
const START_LIMIT = 30_000;

async function ready(child: Child, line: RegExp): Promise<Child> {
  const late = setTimeout(() => child.kill("SIGKILL"), START_LIMIT);
  try {
    await child.line(line);
    return child;
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/** Nothing was lost and nothing doubled: both ends saw all that the other sent, and its end. */
export function assertWhole({ client, target }: Transfer, up: number, down: number): void {
  assert.equal(client.broken ?? target.broken, undefined);
  assert.deepEqual(target.received, client.sent);
  assert.deepEqual(client.received, target.sent);
  assert.deepEqual([client.sent?.size, target.sent?.size], [up, down]);
}

/** Both ends know that the stream broke: neither takes what it has for the whole. */
export function assertBroken({ client, target }: Transfer): void {
  assert.ok(client.broken && target.broken);
  assert.equal(client.received, undefined);
  assert.equal(target.received, undefined);
}
