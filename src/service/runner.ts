/** Runs the programs of the service managers. */
import { spawn } from "node:child_process";
import process from "node:process";
import { SallyportError } from "../errors.ts";

/** Every program that this room runs, for `sallyport service` and `sallyport doctor`. */
const PROGRAMS = new Set([
  ...["systemctl", "launchctl", "crontab", "schtasks", "icacls", "rc-update", "rc-service"],
  ...["sh", "su", "id"],
]);

/** What a program gave. */
export interface RunResult {
  status: number;
  out: string;
  err: string;
}

/** Runs a program to its end, with `input` on its standard input. Rejects if there is none. */
export type Runner = (command: readonly string[], input?: string) => Promise<RunResult>;

/** Longest that a program may take, ms: systemd itself waits 90 s for a service to start. */
const LONGEST = 180_000;

/** A runner of this host's programs; `signal` ends them. */
export function systemRunner(signal: AbortSignal): Runner {
  return async (command, input) => {
    const [program = "", ...args] = command;
    if (!PROGRAMS.has(program)) throw new SallyportError("internal", `not to be run: ${program}`);
    const ends = AbortSignal.any([signal, AbortSignal.timeout(LONGEST)]);
    // The words that are looked for in what they say are English.
    const env = { ...withoutProxies(process.env), LC_ALL: "C" };
    try {
      return await run(program, args, { env, signal: ends }, input);
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = error as { code?: string; message?: string };
      const why = code === "ENOENT" ? "there is no such program" : message ?? String(error);
      throw new SallyportError("service", `cannot run ${program}: ${why}`, { cause: error });
    }
  };
}

/** They may have a password in them, and a service manager goes through none. */
function withoutProxies(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/_proxy$/i.test(name)));
}

function run(
  program: string,
  args: string[],
  options: { env: NodeJS.ProcessEnv; signal: AbortSignal },
  input = "",
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    const result = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => result.out += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => result.err += text);
    child.on("error", reject);
    child.on("close", (code) => resolve({ status: code ?? 1, ...result }));
    // A program that does not read its input has no need of it.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
