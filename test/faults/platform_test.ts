/** A platform that dies or hangs under a running tunnel. */
import assert from "node:assert/strict";
import { loopbackArena } from "./arena.ts";
import { figure } from "./figures.ts";
import { assertWhole, FaultSystem } from "./system.ts";

const MIB = 1024 * 1024;

Deno.test("a platform killed or hanging in mid-transfer: streams do not notice, heartbeats go on when it is back", async () => {
  await using system = await FaultSystem.start({ arena: loopbackArena("127.0.50.2") });
  const first = await system.begin(64 * MIB, 64 * MIB);
  await first.passed(MIB);
  await system.kill("platform");
  assertWhole(await system.both(first), 64 * MIB, 64 * MIB);
  assertWhole(await system.transfer(MIB, MIB), MIB, MIB);
  await system.restart("platform");
  system.part("platform").kill("SIGSTOP");
  assertWhole(await system.transfer(MIB, MIB), MIB, MIB);
  system.part("platform").kill("SIGCONT");
  assert.doesNotMatch(system.part("gateway").log, /trying again/);
  figure("platform killed, then hanging, in mid-transfer", "no stream notices");
});
