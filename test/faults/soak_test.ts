/** The short form of `deno task soak`. */
import assert from "node:assert/strict";
import { loopbackArena } from "./arena.ts";
import { figure } from "./figures.ts";
import { soak } from "./soak.ts";
import { FaultSystem } from "./system.ts";

Deno.test({
  name: "thousands of streams leave no memory and no handle behind",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using system = await FaultSystem.start({ arena: loopbackArena("127.0.50.8") });
    const samples = await soak(system, { every: 500, more: (streams) => streams < 4000 });
    const [warm, end] = [samples[3]!, samples.at(-1)!];
    for (const part of ["gateway", "relay"] as const) {
      assert.ok(end[part].handles <= warm[part].handles, `${part}: ${JSON.stringify(samples)}`);
      // Garbage that has not been collected yet makes some difference, a leak makes one that stays.
      const least = Math.min(...samples.slice(-3).map((sample) => sample[part].memory));
      const most = Math.max(...samples.slice(1, 5).map((sample) => sample[part].memory));
      assert.ok(least <= most * 1.1, `${part}: ${JSON.stringify(samples)}`);
    }
    const { memory, handles } = end.gateway;
    figure(
      "4,000 streams one after another",
      `the gateway holds ${memory.toFixed(0)} MiB and ${handles} handles, as after 2,000 ` +
        `(${warm.gateway.memory.toFixed(0)} and ${warm.gateway.handles})`,
    );
  },
});
