/**
 * What some tests need beside Deno. A test whose requirement is missing is skipped, and scripts/test.ts
 * names it; with SALLYPORT_TEST_DEMAND=1 (CI) a missing one is an error instead.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readsMemoryOf } from "./process_memory.ts";

const run = promisify(execFile);
/** The top of the project. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SHARED = join(ROOT, "..", "shared");
const LAB = join(SHARED, "lab");

/** A program of the machine, or of the folder beside the project. */
export type Requirement =
  | "go"
  | "ssh"
  | "ssh-keygen"
  | "sshd"
  | "curl"
  | "denort"
  | "nft"
  | "iptables-restore"
  | "ip"
  | "namespaces"
  | "core-dumps"
  | "process memory"
  | "systemd-analyze"
  | "crontab"
  | "flock"
  | "chromium"
  | "python3"
  | "groff";

const PRESENT: Record<Requirement, () => boolean> = {
  go: () => inPath("go") !== undefined && existsSync(join(LAB, "main.go")),
  ssh: () => inPath("ssh") !== undefined,
  "ssh-keygen": () => inPath("ssh-keygen") !== undefined,
  sshd: () => inPath("sshd") !== undefined,
  curl: () => inPath("curl") !== undefined,
  "systemd-analyze": () => inPath("systemd-analyze") !== undefined,
  crontab: () => inPath("crontab") !== undefined,
  chromium: () => inPath("chromium") !== undefined,
  flock: () => inPath("flock") !== undefined,
  python3: () => inPath("python3") !== undefined,
  groff: () => inPath("groff") !== undefined,
  denort: () => Boolean(process.env.DENORT_BIN) || existsSync(join(SHARED, "denort")),
  nft: () => inPath("nft") !== undefined,
  "iptables-restore": () => inPath("iptables-restore") !== undefined,
  ip: () => inPath("ip") !== undefined,
  namespaces: () => namespaces ??= mayMakeNamespaces(),
  "core-dumps": leavesCores,
  "process memory": () => memory ??= mayReadMemory(),
};

/** What this machine gives or not, and no program that CI could install. */
const RIGHTS: readonly Requirement[] = ["namespaces", "core-dumps", "process memory"];

let namespaces: boolean | undefined;
let memory: boolean | undefined;

/** Whether this process may read the memory of those that it starts. */
function mayReadMemory(): boolean {
  if (process.platform !== "linux") return false;
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    return child.pid !== undefined && readsMemoryOf(child.pid);
  } finally {
    child.kill("SIGKILL");
  }
}

/** Whether this user may make network namespaces and run programs in them. */
function mayMakeNamespaces(): boolean {
  const ip = inPath("ip");
  if (ip === undefined) return false;
  const name = `sp-fw-probe-${process.pid}`;
  const done = (...args: string[]) => spawnSync(ip, args, { stdio: "ignore" }).status === 0;
  if (!done("netns", "add", name)) return false;
  const entered = done("netns", "exec", name, ip, "link", "set", "lo", "up");
  return done("netns", "delete", name) && entered;
}

/** Whether a process that crashes leaves its memory in its own folder, core(5). */
function leavesCores(): boolean {
  try {
    return /^[^|/]/.test(readFileSync("/proc/sys/kernel/core_pattern", "utf8"));
  } catch {
    return false;
  }
}

/** `ignore` for a test that needs all of `names`. Throws in CI if one is missing, RIGHTS excepted. */
export function requirement(...names: Requirement[]): { ignore: boolean } {
  const missing = names.filter((name) => !PRESENT[name]());
  const demanded = missing.filter((name) => !RIGHTS.includes(name));
  if (demanded.length > 0 && process.env.SALLYPORT_TEST_DEMAND === "1") {
    throw new Error(`tests need ${demanded.join(", ")}, which this machine lacks`);
  }
  return { ignore: missing.length > 0 };
}

/** The path of a program; sbin is looked at too, where sshd lives. */
export function inPath(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin"];
  const name = process.platform === "win32" ? `${program}.exe` : program;
  return folders.filter(Boolean).map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

let lab: Promise<string> | undefined;

/** The lab's program, built at its first use on this machine and again when its source changes. */
export function labBinary(): Promise<string> {
  return lab ??= buildLab();
}

async function buildLab(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of readdirSync(LAB).sort()) {
    hash.update(name).update(readFileSync(join(LAB, name)));
  }
  const folder = join(tmpdir(), `sallyport-lab-${process.getuid?.() ?? "user"}`);
  const binary = join(folder, hash.digest("hex").slice(0, 16));
  if (existsSync(binary)) return binary;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const partial = `${binary}.${process.pid}`;
  await run("go", ["build", "-o", partial, "."], { cwd: LAB });
  await rename(partial, binary);
  return binary;
}

/** The denort that compiled binaries are made of. */
export async function denortPath(): Promise<string> {
  if (process.env.DENORT_BIN) return process.env.DENORT_BIN;
  const { stdout } = await run(join(SHARED, "denort"), []);
  return stdout.trim();
}
