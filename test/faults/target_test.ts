/** Targets that die or hang in mid-transfer, and clients that stop reading. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { loopbackArena } from "./arena.ts";
import { figure } from "./figures.ts";
import { assertWhole, FaultSystem } from "./system.ts";

const MIB = 1024 * 1024;
const arena = () => loopbackArena("127.0.50.3");

/** Resident memory of a process, MiB. */
async function memory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** Resolves when nothing more has been taken of `stream` for a second: its sender has been stopped. */
async function stalled(written: () => number): Promise<void> {
  for (let last = -1; last !== written();) {
    last = written();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

Deno.test("a target killed in mid-transfer: its client sees a break", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stream = await system.begin(1024 * MIB, 1024 * MIB);
  await stream.passed(8 * MIB);
  await system.kill("target");
  // What the target's system says first, an end or a reset, is its own affair: both come through.
  assert.ok((await stream.done).broken);
  await system.restart("target");
  assertWhole(await system.transfer(MIB, MIB), MIB, MIB);
});

Deno.test({
  name: "a target that hangs stops its sender, and nothing is lost when it goes on",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using system = await FaultSystem.start({ arena: arena() });
    const { pid } = system.part("gateway");
    await system.transfer(32 * MIB, 32 * MIB);
    const before = await memory(pid);
    const stream = await system.begin(256 * MIB, 256 * MIB);
    await stream.passed(MIB);
    system.part("target").kill("SIGSTOP");
    await stalled(() => stream.socket.bytesWritten);
    const held = await memory(pid) - before;
    assert.ok(stream.socket.bytesWritten < 64 * MIB, `${stream.socket.bytesWritten} bytes written`);
    system.part("target").kill("SIGCONT");
    assertWhole(await system.both(stream), 256 * MIB, 256 * MIB);
    figure(
      "target hangs in mid-transfer",
      `sender stops, the gateway holds ${held.toFixed(0)} MiB more; nothing lost`,
    );
  },
});

Deno.test("a client that stops reading holds up no other stream", async () => {
  await using system = await FaultSystem.start({ arena: arena() });
  const stream = await system.begin(0, 256 * MIB);
  await stream.passed(MIB);
  stream.socket.pause();
  for (let count = 0; count < 3; count++) {
    assertWhole(await system.transfer(16 * MIB, 16 * MIB), 16 * MIB, 16 * MIB);
  }
  stream.socket.resume();
  assertWhole(await system.both(stream), 0, 256 * MIB);
});
