/** The short form of `deno task flood`. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { startChild } from "../child.ts";
import { ROOT } from "../requirements.ts";
import { within } from "../within.ts";
import { loopbackArena } from "./arena.ts";
import { figure } from "./figures.ts";
import { type Flood, LOADS } from "./flood.ts";
import { assertWhole, FaultSystem } from "./system.ts";

const HOST = "127.0.72.30";
const ATTACKER = "127.0.72.66";
/** Strangers at each port. */
const STRANGERS = 500;
const SIZE = 15_000_000;
/**
 * What the relay may hold at its height, MiB: 150 were measured, and 100 without strangers.
 */
const MOST_MEMORY = 300;

Deno.test({
  name:
    "a thousand strangers at once, of every kind, take nothing from a tunnel, keep nobody out and fill no memory",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using system = await FaultSystem.start({ arena: loopbackArena(HOST) });
    await using stack = new AsyncDisposableStack();
    const before = system.begin(SIZE, SIZE);
    for (const [protocol, port] of [["ssh", 2222], ["tls", 8443]] as const) {
      const loads = LOADS.filter((load) =>
        protocol === "ssh" || !["keys", "costly"].includes(load)
      );
      const flood: Flood = {
        ...{ protocol, port, loads, host: HOST },
        ...{ count: STRANGERS, from: [ATTACKER], again: 500 },
      };
      const args = ["run", "--quiet", "--allow-all", "--no-check"];
      args.push(`${ROOT}/test/faults/flood.ts`, JSON.stringify(flood));
      const strangers = stack.use(startChild(Deno.execPath(), { args }));
      await strangers.line(/flood begun/);
    }
    // A stream that began before, one that begins now, and a gateway that has to log in.
    assertWhole(await within(60_000, system.both(await before)), SIZE, SIZE);
    assertWhole(await within(60_000, system.transfer(SIZE, SIZE)), SIZE, SIZE);
    await system.kill("gateway");
    await within(30_000, system.restart("gateway"));
    const ms = await within(30_000, system.recovered());
    const status = await readFile(`/proc/${system.part("relay").pid}/status`, "utf8");
    const memory = Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
    assert.ok(memory < MOST_MEMORY, `the relay held ${memory.toFixed(0)} MiB`);
    figure(
      "1,000 strangers hammer the relay's ports",
      `nothing lost, a gateway logs in and passes a stream (${ms.toFixed(0)} ms after), ` +
        `the relay holds ${memory.toFixed(0)} MiB at most`,
    );
  },
});
