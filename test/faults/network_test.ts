/** Cables that are cut without a word, lose packets, or are long. */
import assert from "node:assert/strict";
import { type Arena, cabledArena, loopbackArena, ownNamespace } from "./arena.ts";
import { figure, long, ms } from "./figures.ts";
import { longLine } from "./long_line.ts";
import { assertBroken, assertWhole, FaultSystem } from "./system.ts";

const MIB = 1024 * 1024;
const ignore = !ownNamespace();
const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function cabled(
  use: (system: FaultSystem, cable: NonNullable<Arena["cable"]>) => Promise<void>,
) {
  await using arena = await cabledArena();
  await using system = await FaultSystem.start({ arena });
  await use(system, arena.cable!);
}

Deno.test({
  name: "a cut of 5 s: a stream goes on where it was",
  ignore,
  fn: () =>
    cabled(async (system, cable) => {
      await cable.cut();
      await pause(5);
      await cable.mend();
      figure(
        "network cut for 5 s, nothing in flight",
        `back after ${ms(await system.recovered())}`,
      );
      const stream = await system.begin(256 * MIB, 256 * MIB);
      await stream.passed(8 * MIB);
      await cable.cut();
      await pause(5);
      await cable.mend();
      const back = await system.recovered();
      assertWhole(await system.both(stream), 256 * MIB, 256 * MIB);
      figure(
        "network cut for 5 s in mid-transfer",
        `nothing lost, new streams pass after ${ms(back)}`,
      );
    }),
});

for (const seconds of long ? [30, 60, 300] : [30]) {
  Deno.test({
    name: `a cut of ${seconds} s: both sides notice a lost peer, and come back when there is a way`,
    ignore,
    fn: () =>
      cabled(async (system, cable) => {
        const stream = await system.begin(1024 * MIB, 1024 * MIB);
        await stream.passed(8 * MIB);
        const from = performance.now();
        await cable.cut();
        const noticed = await Promise.all([
          system.part("gateway").line(/no sign of life|does not answer/),
          system.part("relay").line(/is gone/),
        ]).then(() => performance.now() - from);
        assert.ok(noticed < 22_000, `noticed after ${noticed} ms`);
        await pause(seconds - noticed / 1000);
        await cable.mend();
        const back = await system.recovered();
        assertBroken(await system.both(stream));
        assertWhole(await system.transfer(8 * MIB, 8 * MIB), 8 * MIB, 8 * MIB);
        figure(
          `network cut for ${seconds} s`,
          `noticed by both sides after ${ms(noticed)}, back ${ms(back)} after its end`,
        );
      }),
  });
}

for (const percent of [1, 5]) {
  Deno.test({
    name: `${percent} % of the packets lost: nothing of a stream is`,
    ignore,
    fn: () =>
      cabled(async (system, cable) => {
        await cable.lose(percent);
        const size = Math.floor(8 * MIB / percent);
        assertWhole(await system.transfer(size, size), size, size);
        assert.doesNotMatch(system.part("gateway").log, /trying again/);
        figure(`${percent} % of the packets lost`, "nothing lost, the session stays");
      }),
  });
}

Deno.test("a relay 200 ms away: streams are whole and windows large enough to fill the line", async () => {
  const [near, far] = ["127.0.50.11", "127.0.50.12"];
  await using lines = new AsyncDisposableStack();
  for (const [port, delay] of [[2222, 100], [8443, 0]] as const) {
    lines.use(await longLine({ host: near, port }, { host: far, port }, delay));
  }
  await using system = await FaultSystem.start({ arena: loopbackArena(near), relayListen: far });
  const size = 32 * MIB;
  const from = performance.now();
  assertWhole(await system.transfer(size, size), size, size);
  const seconds = (performance.now() - from) / 1000;
  // A window of 32 KiB would take 200 s; one that grows to 2 MiB some 4 s.
  assert.ok(seconds < 30, `${seconds} s`);
  figure("relay 200 ms away", `one stream moves ${(32 / seconds).toFixed(1)} MiB/s each way`);
});
