/** Programs as children of a test, and what they print. */

import { basename } from "node:path";
import { noteOutput, noteSecret } from "./secret_watch.ts";

/** The lab and other judges may print what they like. */
function isOurs(command: string): boolean {
  return command === Deno.execPath() || basename(command).startsWith("sallyport");
}

const HANDS_OUT = /\bplatform (init|identity (create|rotate)|token create)\b/;

/** 256 bits and what stands before them; shorter words are ids, and the help. */
const SECRET_WORD = /^[\w-]{43,}$/;

/**
 * Notes what a command of ours has printed. What a platform hands out is printed once, on purpose, and
 * must turn up nowhere else.
 */
export function notePrinted(args: readonly string[], { out, err }: { out: string; err: string }) {
  noteOutput(err);
  const command = args.join(" ");
  if (!HANDS_OUT.test(command)) return noteOutput(out);
  for (const word of out.split(/\s+/)) if (SECRET_WORD.test(word)) noteSecret(command, word);
}

export interface ChildOptions {
  args: string[];
  env?: Record<string, string>;
  /** The child sees nothing of the test's own environment but what is given. */
  clearEnv?: boolean;
}

export interface Child {
  pid: number;
  /** Resolves with the first line, past or future, that fits; rejects if the program ends before. */
  line(fits: RegExp): Promise<string>;
  /** Every line so far, of standard output and standard error as they came. */
  readonly log: string;
  /** Resolves with the exit status. */
  readonly status: Promise<number>;
  kill(
    signal: "SIGTERM" | "SIGINT" | "SIGKILL" | "SIGHUP" | "SIGSTOP" | "SIGCONT" | "SIGUSR2",
  ): void;
  /** Kills it if it still runs. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a program. */
export function startChild(command: string, { args, env, clearEnv }: ChildOptions): Child {
  const child = new Deno.Command(command, {
    args,
    env,
    clearEnv,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let over = false;
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      lines.push(...parts);
      if (isOurs(command)) noteOutput(text);
      for (const look of [...waiting]) look();
    }
    if (rest !== "") lines.push(rest);
  };
  const ended = Promise.all([read(child.stdout), read(child.stderr), child.status])
    .then(([, , { code }]) => {
      over = true;
      for (const look of [...waiting]) look();
      return code;
    });
  return {
    pid: child.pid,
    line: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => fits.test(line));
          if (found === undefined && !over) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`${args.join(" ")} ended without ${fits}:\n${lines.join("\n")}`));
        };
        waiting.add(look);
        look();
      }),
    get log() {
      return lines.join("\n");
    },
    status: ended,
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs a program to its end. */
export async function runChild(
  command: string,
  { args, env, clearEnv }: ChildOptions,
): Promise<{ status: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    env,
    clearEnv,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const printed = { out: text(stdout), err: text(stderr) };
  if (isOurs(command)) notePrinted(args, printed);
  return { status: code, ...printed };
}
