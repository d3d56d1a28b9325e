/** Relays and gateways that are killed, stopped and replaced under streams. */
import assert from "node:assert/strict";
import { loopbackArena } from "./arena.ts";
import { figure, ms } from "./figures.ts";
import { assertBroken, assertWhole, FaultSystem } from "./system.ts";

const MIB = 1024 * 1024;
const arena = () => loopbackArena("127.0.50.1");
/** A lost peer is noticed within three seconds. */
const QUICK = ["--keepalive-interval", "1s", "--keepalive-timeout", "2s"];

Deno.test("a relay killed in mid-transfer: both ends see it, and streams pass again when it is back", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stream = await system.begin(1024 * MIB, 1024 * MIB);
  await stream.passed(8 * MIB);
  await system.kill("relay");
  assertBroken(await system.both(stream));
  await system.part("gateway").line(/trying again/);
  await system.restart("relay");
  figure(
    "relay killed in mid-transfer, at once started again",
    `back ${ms(await system.recovered())} after it listens`,
  );
  assertWhole(await system.transfer(8 * MIB, 8 * MIB), 8 * MIB, 8 * MIB);
});

Deno.test("a relay that hangs: the gateway notices within its keepalive times, and streams pass when it goes on", async () => {
  await using system = await FaultSystem.start({ arena: arena(), gateway: QUICK });
  const stream = await system.begin(1024 * MIB, 1024 * MIB);
  await stream.passed(8 * MIB);
  const from = performance.now();
  system.part("relay").kill("SIGSTOP");
  await system.part("gateway").line(/no sign of life|does not answer/);
  const noticed = performance.now() - from;
  system.part("relay").kill("SIGCONT");
  figure(
    "relay hangs (keepalive 1 s and 2 s)",
    `noticed after ${ms(noticed)}, back ${ms(await system.recovered())} after it goes on`,
  );
  assertBroken(await system.both(stream));
  assertWhole(await system.transfer(8 * MIB, 8 * MIB), 8 * MIB, 8 * MIB);
});

Deno.test("a gateway killed in mid-transfer: both ends see it, and its next run is up at once", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stream = await system.begin(1024 * MIB, 1024 * MIB);
  await stream.passed(8 * MIB);
  await system.kill("gateway");
  assertBroken(await system.both(stream));
  await system.restart("gateway");
  assertWhole(await system.transfer(8 * MIB, 8 * MIB), 8 * MIB, 8 * MIB);
});

Deno.test("a gateway that hangs is replaced at once by another run of it: the relay lets the stale session go", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stale = system.part("gateway");
  stale.kill("SIGSTOP");
  try {
    const from = performance.now();
    await system.restart("gateway");
    figure(
      "gateway hangs, another run of it takes over",
      `streams pass ${ms(performance.now() - from + await system.recovered())} after its start`,
    );
    assertWhole(await system.transfer(8 * MIB, 8 * MIB), 8 * MIB, 8 * MIB);
    await system.part("relay").line(/older session is retired/);
  } finally {
    await stale[Symbol.asyncDispose]();
  }
});

Deno.test("a relay that is told to stop lets streams end", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stream = await system.begin(64 * MIB, 64 * MIB);
  await stream.passed(MIB);
  system.part("relay").kill("SIGTERM");
  assertWhole(await system.both(stream), 64 * MIB, 64 * MIB);
  assert.equal(await system.part("relay").status, 0);
});
