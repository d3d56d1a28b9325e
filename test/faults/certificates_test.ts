/** Certificates that live for seconds, and clocks that jump. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { loopbackArena } from "./arena.ts";
import { figure, ms } from "./figures.ts";
import { assertWhole, FaultSystem } from "./system.ts";
import { BLOCK } from "../hashed_bytes.ts";

const KIB = 1024;
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

Deno.test({
  name: "a stream of 40 s outlives the certificates that it began with, and new streams never wait",
  ...requirement("go"),
  async fn() {
    const arena = loopbackArena("127.0.50.4");
    await using system = await FaultSystem.start({ arena, labPlatform: "45s" });
    const size = 40 * BLOCK;
    const stream = await system.begin(size, size, 1000);
    const gateway = system.part("gateway");
    await gateway.line(/the tunnel goes on with new certificates/);
    assertWhole(await system.transfer(64 * KIB, 64 * KIB), 64 * KIB, 64 * KIB);
    assertWhole(await system.both(stream), size, size);
    assert.doesNotMatch(gateway.log, /trying again/);
    figure(
      "certificates of 45 s, stream of 40 s, our relay",
      "rotated beside the stream; nothing lost",
    );
  },
});

Deno.test({
  name: "beside a relay of one connection a gateway, the session moves while no stream is open",
  ...requirement("go"),
  async fn() {
    const arena = loopbackArena("127.0.50.5");
    await using system = await FaultSystem.start({ arena, labPlatform: "45s", relay: "lab" });
    const gateway = system.part("gateway");
    await gateway.line(/the SSH session moves to the new certificates/);
    const back = await system.recovered();
    assertWhole(await system.transfer(64 * KIB, 64 * KIB), 64 * KIB, 64 * KIB);
    figure(
      "certificates of 45 s, a relay of one connection",
      `moved in a quiet moment, streams pass after ${ms(back)}`,
    );
  },
});

Deno.test({
  name: "a clock that jumps past the certificates' renewal makes the gateway renew, without a loss",
  ignore: requirement("go").ignore || !existsSync(FAKETIME),
  async fn() {
    await using folder = await temporaryFolder();
    const clock = join(folder.path, "clock");
    await writeFile(clock, "+0");
    await using system = await FaultSystem.start({
      arena: loopbackArena("127.0.50.6"),
      // Its client certificates live long enough to be good on both clocks.
      labPlatform: "24h",
      gatewayEnv: {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: "1",
        DONT_FAKE_MONOTONIC: "1",
      },
    });
    const gateway = system.part("gateway");
    await writeFile(clock, "+17h");
    await gateway.line(/certificates renewed/);
    await gateway.line(/the tunnel goes on with new certificates/);
    assertWhole(await system.transfer(64 * KIB, 64 * KIB), 64 * KIB, 64 * KIB);
    await writeFile(clock, "+0");
    assertWhole(await system.transfer(64 * KIB, 64 * KIB), 64 * KIB, 64 * KIB);
    assert.doesNotMatch(gateway.log, /trying again/);
    figure("gateway's clock jumps 17 h ahead, and back", "renewed; no stream notices");
  },
});
