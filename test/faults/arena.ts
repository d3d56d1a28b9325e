/**
 * Where the parts of a system under faults live. With namespaces (scripts/test.ts runs the suite in a
 * network namespace of its own where the machine permits it) the gateway and its target have a network
 * of their own, `inside`, with one cable to the platform, the relay and the client; the cable can be
 * cut and can lose packets. Without namespaces everything is on loopback, and there is no cable.
 */
import process from "node:process";
import { type Child, runChild, startChild } from "../child.ts";
import { inPath } from "../requirements.ts";

const OUTSIDE = "10.231.0.1";
const INSIDE = "10.231.0.2";

/** A place for programs. */
export interface Place {
  start(command: string, args: string[], env?: Record<string, string>): Child;
  run(command: string, args: string[]): ReturnType<typeof runChild>;
}

/** The machine as the test sees it. */
export const here: Place = {
  start: (command, args, env) => startChild(command, { args, env }),
  run: (command, args) => runChild(command, { args }),
};

/** The cable between the gateway's network and the rest. */
export interface Cable {
  /** From now on no packet passes, and nobody is told. */
  cut(): Promise<void>;
  /** So many percent of the packets are lost, each way. */
  lose(percent: number): Promise<void>;
  mend(): Promise<void>;
}

export interface Arena extends AsyncDisposable {
  /** Address of platform and relay. */
  host: string;
  /** Where the gateway and its target run. */
  inside: Place;
  cable?: Cable;
}

/** Everything on one loopback address. */
export function loopbackArena(host: string): Arena {
  return { host, inside: here, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Two networks and a cable. Needs `requirement("namespaces")`. */
export async function cabledArena(): Promise<Arena> {
  // A namespace lives as long as a process in it; this one does nothing else.
  const keeper = startChild("unshare", { args: ["--net", "sleep", "infinity"] });
  const stack = new AsyncDisposableStack();
  stack.use(keeper);
  try {
    const enter = [`--net=/proc/${keeper.pid}/ns/net`, "--"];
    const inside: Place = {
      start: (command, args, env) =>
        startChild("nsenter", { args: [...enter, command, ...args], env }),
      run: (command, args) => runChild("nsenter", { args: [...enter, command, ...args] }),
    };
    await entered(keeper.pid);
    await demand(here, "ip link add outside type veth peer name inside");
    stack.defer(() => demand(here, "ip link del outside"));
    await demand(here, `ip link set inside netns ${keeper.pid}`);
    await demand(here, `ip addr add ${OUTSIDE}/24 dev outside`);
    await demand(here, "ip link set outside up");
    await demand(inside, "ip link set lo up");
    await demand(inside, `ip addr add ${INSIDE}/24 dev inside`);
    await demand(inside, "ip link set inside up");
    return {
      host: OUTSIDE,
      inside,
      cable: cable(inside),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Whether the suite has a network namespace of its own, in which it may do what it likes. */
export function ownNamespace(): boolean {
  return process.env.SALLYPORT_TEST_NAMESPACE === "1" &&
    ["ip", "nft", "unshare", "nsenter"].every((program) => inPath(program) !== undefined);
}

function cable(inside: Place): Cable {
  const filter = async (verdict: string) => {
    const chain = (name: string, match: string) =>
      `chain ${name} { type filter hook ${name} priority 0; ${match} ${verdict}; }`;
    await demand(
      inside,
      "nft",
      `table inet cable {}; delete table inet cable; table inet cable {
        ${chain("input", 'iifname "inside"')}
        ${chain("output", 'oifname "inside"')}
      }`,
    );
  };
  return {
    cut: () => filter("drop"),
    lose: (percent) => filter(`numgen random mod 100 < ${percent} drop`),
    mend: () => demand(inside, "nft", "table inet cable {}; delete table inet cable"),
  };
}

/** Waits until a process that was just started has entered its own network namespace. */
async function entered(pid: number): Promise<void> {
  const own = await Deno.readLink("/proc/self/ns/net");
  while (await Deno.readLink(`/proc/${pid}/ns/net`).catch(() => own) === own) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function demand(place: Place, line: string, last?: string): Promise<void> {
  const [command, ...args] = line.split(" ");
  if (last !== undefined) args.push(last);
  const { status, err } = await place.run(command!, args);
  if (status !== 0) throw new Error(`${line}: ${err}`);
}
