/** Two network namespaces with a cable between them, gone afterwards. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { type Child, runChild, startChild } from "../../child.ts";
import { inPath, ROOT } from "../../requirements.ts";
import type { Outcome, Place } from "./peer.ts";

/** A host of its own, as far as the network goes. */
export interface Namespace {
  /** Runs a program to its end and gives what it printed; fails if the program does. */
  run(program: string, ...args: string[]): Promise<string>;
  start(program: string, ...args: string[]): Child;
  /** Echoes at all `places`, until disposed. */
  listen(places: Place[]): Promise<Child>;
  /** Tries all `places`, with no neighbour known from before. */
  probe(places: Place[]): Promise<Outcome[]>;
}

export const EDGE = { v4: "10.77.0.1", v6: "fd77::1" };
/** The outside has two IPv4 addresses, as if it were two hosts. */
export const OUTSIDE = { v4: "10.77.0.2", other: "10.77.0.3", v6: "fd77::2" };

const PEER = join(ROOT, "test", "diagnostic", "firewall", "peer.ts");
const DENO = ["run", "--quiet", "--allow-all", "--no-check"];

let made = 0;

/** Makes them; needs the requirements "ip" and "namespaces". */
export async function twoNamespaces(): Promise<
  AsyncDisposable & { edge: Namespace; outside: Namespace }
> {
  const prefix = `sp-fw-${process.pid}-${made++}`;
  const names = [`${prefix}-edge`, `${prefix}-outside`] as const;
  const [edge, outside] = names;
  const dispose = async () => {
    for (const name of names) await runChild(inPath("ip")!, { args: ["netns", "delete", name] });
  };
  try {
    for (const name of names) await ip("netns", "add", name);
    await ip("-n", edge, "link", "add", "out", "type", "veth", "peer", "in", "netns", outside);
    await ip("-n", edge, "address", "add", `${EDGE.v4}/24`, "dev", "out");
    await ip("-n", edge, "address", "add", `${EDGE.v6}/64`, "dev", "out", "nodad");
    for (const address of [OUTSIDE.v4, OUTSIDE.other]) {
      await ip("-n", outside, "address", "add", `${address}/24`, "dev", "in");
    }
    await ip("-n", outside, "address", "add", `${OUTSIDE.v6}/64`, "dev", "in", "nodad");
    for (const [name, device] of [[edge, "out"], [outside, "in"]] as const) {
      await ip("-n", name, "link", "set", "lo", "up");
      await ip("-n", name, "link", "set", device, "up");
    }
    return {
      edge: namespace(edge),
      outside: namespace(outside),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function ip(...args: string[]): Promise<string> {
  const { status, out, err } = await runChild(inPath("ip")!, { args });
  assert.equal(status, 0, `ip ${args.join(" ")}: ${err}`);
  return out;
}

function namespace(name: string): Namespace {
  const start = (program: string, ...args: string[]) =>
    startChild(inPath("ip")!, { args: ["netns", "exec", name, program, ...args] });
  const run = (program: string, ...args: string[]) => ip("netns", "exec", name, program, ...args);
  return {
    start,
    run,
    async listen(places) {
      const child = start(Deno.execPath(), ...DENO, PEER, "listen", JSON.stringify(places));
      await child.line(/^listening$/);
      return child;
    },
    async probe(places) {
      await ip("-n", name, "neigh", "flush", "all");
      return JSON.parse(
        await run(Deno.execPath(), ...DENO, PEER, "probe", JSON.stringify(places)),
      );
    },
  };
}
