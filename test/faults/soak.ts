/** Many streams one after another through a system, and what its programs hold meanwhile. */
import { readdir, readFile } from "node:fs/promises";
import { captureLog } from "../captured_log.ts";
import { assertWhole, type FaultSystem } from "./system.ts";

/** Streams at a time. */
const AT_ONCE = 16;
/** Bytes each way: mostly little, now and then more than a window. */
const SIZES = [1, 100, 4096, 100, 65_536, 1, 1_000_000, 4096];

/** What a program holds. */
export interface Held {
  /** Resident memory, MiB. */
  memory: number;
  /** Open descriptors. */
  handles: number;
}

/** What the gateway and the relay hold at a moment. */
export interface Sample {
  /** Streams so far. */
  streams: number;
  gateway: Held;
  relay: Held;
}

/** What a process holds (Linux). */
export async function held(pid: number): Promise<Held> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const handles = (await readdir(`/proc/${pid}/fd`)).length;
  return { memory: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024, handles };
}

/**
 * Runs streams, 16 at a time and each checked at both ends, while `more` says so, and takes a sample
 * every `every` streams, when no stream is open.
 */
export async function soak(
  system: FaultSystem,
  { more, every, onSample }: {
    more(streams: number): boolean;
    every: number;
    onSample?(sample: Sample): void;
  },
): Promise<Sample[]> {
  const samples: Sample[] = [];
  using log = captureLog("warn");
  for (let streams = 0; more(streams);) {
    const end = streams + every;
    const run = async () => {
      while (streams < end) {
        const size = SIZES[streams++ % SIZES.length]!;
        const seen = await system.transfer(size, size);
        try {
          assertWhole(seen, size, size);
        } catch (error) {
          throw new Error(JSON.stringify(seen), { cause: error });
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, run)).catch((error) => {
      throw new Error(`${error.message}\nclient:\n${log.lines.join("\n")}\n${complaints(system)}`, {
        cause: error,
      });
    });
    const sample = {
      streams,
      gateway: await settled(system.part("gateway").pid),
      relay: await settled(system.part("relay").pid),
    };
    samples.push(sample);
    onSample?.(sample);
  }
  return samples;
}

/** What gateway and relay had to complain of. */
function complaints(system: FaultSystem): string {
  return (["gateway", "relay"] as const).map((part) => {
    const lines = system.part(part).log.split("\n").filter((line) =>
      !/ channel \S+ (open|closed)/.test(line)
    );
    return `${part}:\n${lines.slice(-20).join("\n")}`;
  }).join("\n");
}

/** Descriptors of streams that have just ended are closed a moment later. */
async function settled(pid: number): Promise<Held> {
  let last = await held(pid);
  for (let same = 0; same < 3;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = await held(pid);
    same = now.handles === last.handles ? same + 1 : 0;
    last = now;
  }
  return last;
}
