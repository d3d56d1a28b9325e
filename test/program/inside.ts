/**
 * Code inside the program, put into a binary beside src/main.ts by least_power_test.ts: it tries what
 * nobody should be able to, once before the program has begun and again at each SIGUSR2, and prints a
 * line: "INSIDE", how often it has tried before, and an `InsideReport` as JSON.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire, type LoadHookSync } from "node:module";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import * as v8 from "node:v8";

/** What the test tells it. */
export interface InsideContext {
  /** A file that is none of the program's. */
  secret: string;
  /** A folder that is none of the program's. */
  outside: string;
  /** The program's own folder. */
  state: string;
}

const { secret, outside, state } = JSON.parse(process.env.INSIDE!) as InsideContext;
const environment = process.env;
let times = 0;
const require = createRequire(import.meta.url);

type Attempt = () => unknown;

const at = (name: string) => `${outside}/${name}`;
const within = (name: string) => `${state}/${name}`;

const reading: Record<string, Attempt> = {
  "read /etc/shadow": () => Deno.readTextFileSync("/etc/shadow"),
  "read a file": () => fs.readFileSync(secret),
  "read through ..": () => fs.readFileSync(`${state}/../${secret.split("/").slice(-2).join("/")}`),
  "read through /proc": () => fs.readFileSync(`/proc/self/root${secret}`),
  "read with fetch": async () => await (await fetch(`file://${secret}`)).text(),
  "read by import": () => import(`${secret}?${Math.random()}`, { with: { type: "text" } }),
  "read by import, past the loader's hook": async () => {
    const source = { source: undefined, format: "module", shortCircuit: true };
    const hook = process.getBuiltinModule("module").registerHooks({
      load: (() => source) as unknown as LoadHookSync,
    });
    try {
      await import(`${secret}?${Math.random()}`, { with: { type: "text" } });
    } finally {
      hook.deregister();
    }
  },
  "read by require": () => require(`${secret}.${times}.json`),
  "open a file": () => fs.closeSync(fs.openSync(secret, "r")),
  "copy a file in": () => fs.copyFileSync(secret, within("copy")),
  "link a file in": () => {
    fs.linkSync(secret, within("link"));
    fs.unlinkSync(within("link"));
  },
  "look at a file": () => fs.statSync(secret),
  "list a folder": () => fs.readdirSync(outside),
  "read the environment": () => Deno.env.get("INFISICAL_TOKEN")!.length,
  "read the environment that was": () => environment.INFISICAL_TOKEN!.length,
  "read the environment, as Node does": () => process.env.INFISICAL_TOKEN!.length,
  "read the environment in /proc": () => fs.readFileSync("/proc/self/environ"),
};

const writing: Record<string, Attempt> = {
  "write a file": () => Deno.writeTextFileSync(at("a"), "x"),
  "write a file, as Node does": () => fs.writeFileSync(at("b"), "x"),
  "write a file, later": () => fs.promises.writeFile(at("c"), "x"),
  "append to a file": () => fs.appendFileSync(secret, ""),
  "make a folder": () => fs.mkdirSync(at(`d${Math.random()}`)),
  "move a file out": () => {
    fs.writeFileSync(within("moved"), "x");
    fs.renameSync(within("moved"), at("moved"));
  },
  "copy a file out": () => {
    fs.writeFileSync(within("copied"), "x");
    fs.copyFileSync(within("copied"), at("copied"));
  },
  "change rights": () => fs.chmodSync(secret, 0o600),
  "remove a file": () => fs.rmSync(at(`nothing${Math.random()}`), { force: true }),
  "make a database": () => new DatabaseSync(at("db")).exec("create table if not exists t (c)"),
  "dump the heap": () => v8.writeHeapSnapshot(at("heap")),
  "listen on a socket": () =>
    Deno.listen({ transport: "unix", path: at(`s${Math.random()}`) }).close(),
  "use web storage": () => localStorage.setItem("a", "b"),
  "use the web cache": async () => await caches.open("a"),
};

const running: Record<string, Attempt> = {
  "run a program": () => new Deno.Command("/bin/true").outputSync(),
  "run a program, as Node does": () => {
    const { error } = spawnSync("/bin/true");
    if (error) throw error;
  },
  "send a signal": () => process.kill(process.ppid, 0),
  "start a worker": () => new Worker("data:text/javascript,", { type: "module" }).terminate(),
  "start a worker, as Node does": () => {
    const { Worker } = process.getBuiltinModule("worker_threads");
    new Worker("", { eval: true }).terminate();
  },
  "load Node's workers": () => import("node:worker_threads"),
  "load Node's loader": () => import("node:module"),
};

/** What fails before the program has begun too: the binary was never given it. */
const never: Record<string, Attempt> = {
  "make a symbolic link": () => fs.symlinkSync("/etc", within("symlink")),
  "load a library": () => process.dlopen({ exports: {} }, "/lib/x86_64-linux-gnu/libc.so.6"),
  "call a library": () => Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {}),
  "become another user": () => process.setuid!(1),
};

const RIGHTS = ["read", "write", "run", "env", "sys", "ffi", "import"] as const;

const asking: Record<string, Attempt> = Object.fromEntries(RIGHTS.map((name) => [
  `ask to ${name}`,
  async () => {
    // What is granted once by name would stay: it is asked for after the start alone.
    if (times === 0) throw new Error("too early");
    const path = name === "read" || name === "write" ? "/etc" : undefined;
    const { state } = await Deno.permissions.request({ name, path } as Deno.PermissionDescriptor);
    if (state !== "granted") throw new Error(state);
  },
]));

/** What the program itself must still be able to do. */
const own: Record<string, Attempt> = {
  "write in its folder": () => fs.writeFileSync(within("own"), "x"),
  "read in its folder": () => fs.readFileSync(within("own")),
  "replace in its folder": () => fs.renameSync(within("own"), within("replaced")),
  "listen": () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
};

const groups = { reading, writing, running, never, asking, own };

/** By group: what was done, and what was refused. */
export type InsideReport = Record<keyof typeof groups, { done: string[]; refused: string[] }>;

async function report(): Promise<void> {
  const found: Record<string, { done: string[]; refused: string[] }> = {};
  for (const [group, attempts] of Object.entries(groups)) {
    const result = found[group] = { done: [] as string[], refused: [] as string[] };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        await attempt();
        result.done.push(name);
      } catch (error) {
        result.refused.push(`${name}: ${(error as Error).message}`);
      }
    }
  }
  console.error(`INSIDE ${times++} ${JSON.stringify(found)}`);
}

await report();
process.on("SIGUSR2", () => void report());
