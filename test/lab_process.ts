/** Programs of the lab as children of a test, and what they log. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { labBinary } from "./requirements.ts";

export interface LabProcess {
  /** Resolves with the first line, past or future, that fits; rejects if the program ends before. */
  line(fits: RegExp): Promise<string>;
  /** Everything logged so far. */
  readonly log: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts `lab <args>` and waits until it logs a line that fits `ready`, or until `ready` resolves. */
export async function startLab(
  args: string[],
  ready: RegExp | (() => Promise<unknown>),
): Promise<LabProcess> {
  const child = new Deno.Command(await labBinary(), {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let over = false;
  const reading = (async () => {
    let rest = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      lines.push(...parts);
      for (const look of [...waiting]) look();
    }
    over = true;
    for (const look of [...waiting]) look();
  })();
  const lab: LabProcess = {
    line: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => fits.test(line));
          if (found === undefined && !over) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`lab ${args[0]} ended without ${fits}:\n${lines.join("\n")}`));
        };
        waiting.add(look);
        look();
      }),
    get log() {
      return lines.join("\n");
    },
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGKILL");
      await child.status;
      await reading;
    },
  };
  try {
    await (ready instanceof RegExp ? lab.line(ready) : ready());
    return lab;
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs `lab <args>` to its end and gives what it printed. */
export async function runLab(args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(await labBinary(), {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** A port of `host` that nobody listened on just now. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves once somebody listens on `host:port`. */
export async function listening(host: string, port: number): Promise<void> {
  for (;;) {
    const socket = connect({ host, port });
    const outcome = await Promise.race([
      once(socket, "connect").then(() => true, () => false),
      once(socket, "close").then(() => false, () => false),
    ]);
    socket.destroy();
    if (outcome) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
