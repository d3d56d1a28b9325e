/**
 * What the process gives up for good, once it knows what it needs.
 *
 * Deno cannot take a part out of a right that was granted as a whole; out of a list of paths it can. So the
 * binary is built with the root of the file system as the only path of its lists (scripts/compile.ts):
 * what a command needs lies within that and is granted when asked for, and then the root is given back.
 * Nothing can be asked for again: the binary never prompts. Where rights are whole, on Windows with its
 * many roots and from source with --allow-all, reading and writing stay as they are.
 */
import { devNull } from "node:os";
import process from "node:process";

const ROOT = "/";

/** Paths of files, whether they are there yet or not, and of folders with all that is in them. */
export interface Files {
  read: readonly string[];
  /** These may be read as well. */
  write: readonly string[];
}

/** From here on no program is run, and no process is sent a signal. */
export function giveUpPrograms(): void {
  Deno.permissions.revokeSync({ name: "run" });
}

/**
 * The environment. Whoever looks into `process.env` from here on, a library or a program that is run,
 * finds a copy without `secrets`; the returned one is whole.
 * @param secrets names of variables
 */
export function takeEnvironment(secrets: Iterable<string>): Record<string, string | undefined> {
  const whole = { ...process.env };
  const others = { ...whole };
  for (const name of secrets) delete others[name];
  process.env = others;
  return whole;
}

/** What the system tells of itself that nobody asks for later; whose files are one's own is asked then. */
const OF_SYSTEM = ["homedir", "umask", "ca"];

/** Gives up every file but these, the environment, and what the system tells of itself. */
export function keepOnlyFiles({ read, write }: Files): void {
  // It says nothing, and is what open files are counted by (open_files.ts).
  const readable = [...read, ...write, devNull];
  for (const [name, paths] of [["read", readable], ["write", write]] as const) {
    for (const path of paths) Deno.permissions.requestSync({ name, path });
    Deno.permissions.revokeSync({ name, path: ROOT });
  }
  Deno.permissions.revokeSync({ name: "env" });
  for (const kind of OF_SYSTEM) {
    Deno.permissions.revokeSync({ name: "sys", kind } as Deno.SysPermissionDescriptor);
  }
}

/** Whether the process may still write there. */
export function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}

/** Whether reading and writing are narrowed to what was kept. */
export function isNarrowed(): boolean {
  return !mayWrite(ROOT);
}

/** What is imported or required under these names is refused. */
const REFUSED = /^(node:)?(module|worker_threads)$/;

/**
 * Takes away what reads or writes files without asking for a right. The binary's loader imports any
 * file of the host as text, whatever may be read (Deno 2.9.4): a hook refuses what is not in the binary,
 * and no other hook can be put before it. A worker has a loader of its own, without the hook: there are
 * none. Web storage is a database in the home directory. From source, where the program's own modules
 * are files, the loader asks for rights.
 */
export function closeSideDoors(): void {
  for (const name of ["localStorage", "sessionStorage", "caches", "Worker"]) {
    Reflect.deleteProperty(globalThis, name);
  }
  if (!Deno.build.standalone) return;
  const loader = process.getBuiltinModule("node:module");
  const workers = process.getBuiltinModule("node:worker_threads");
  loader.registerHooks({
    resolve(specifier, context, next) {
      if (REFUSED.test(specifier)) throw new Error(`not for this program: ${specifier}`);
      return next(specifier, context);
    },
    // What is in the binary does not come by here, but for `require` of Deno's own modules.
    load(url, context, next) {
      if (url.startsWith("node:")) return next(url, context);
      throw new Error(`no code from outside the program: ${url}`);
    },
  });
  // `process.getBuiltinModule` asks no hook. What it gives is what it has given here.
  for (const name of ["registerHooks", "register"]) Reflect.deleteProperty(loader, name);
  Reflect.deleteProperty(workers, "Worker");
}
