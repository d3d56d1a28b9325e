/** Programs of the lab as children of a test. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { type Child, runChild, startChild } from "./child.ts";
import { labBinary } from "./requirements.ts";

export type LabProcess = Child;

/** Starts `lab <args>` and waits until it logs a line that fits `ready`, or until `ready` resolves. */
export async function startLab(
  args: string[],
  ready: RegExp | (() => Promise<unknown>),
): Promise<LabProcess> {
  const lab = startChild(await labBinary(), { args });
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
  const { out, err } = await runChild(await labBinary(), { args });
  return out + err;
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
