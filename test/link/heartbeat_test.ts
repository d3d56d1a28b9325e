import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { keepBeating } from "../../src/link/heartbeat.ts";
import { LinkState } from "../../src/link/state.ts";
import { VirtualClock } from "../virtual_clock.ts";

function setUp() {
  const clock = new VirtualClock();
  const state = new LinkState("g", clock.now);
  const stop = new AbortController();
  const control = { fail: undefined as SallyportError | undefined, beats: [] as number[] };
  const start = clock.now();
  const api = {
    gatewayHeartbeat: () => {
      control.beats.push((clock.now() - start) / 1000);
      return control.fail ? Promise.reject(control.fail) : Promise.resolve();
    },
  };
  const beating = keepBeating({ api, state, clock }, stop.signal);
  beating.catch(() => {});
  return { clock, state, stop, control, beating };
}

Deno.test("heartbeats begin with the link, every 10 s until one is taken, then every 3 min", async () => {
  const { clock, state, stop, control, beating } = setUp();
  await clock.advance(60_000);
  assert.deepEqual(control.beats, [], "no link, no heartbeat");
  control.fail = new SallyportError("api-rejected", "not yet");
  state.update({ phase: "up" });
  await clock.advance(25_000);
  assert.deepEqual(control.beats, [60, 70, 80]);
  assert.ok(!("heartbeat" in state.snapshot));
  control.fail = undefined;
  await clock.advance(5_000 + 360_000);
  assert.deepEqual(control.beats.slice(3), [90, 270, 450]);
  assert.equal(state.snapshot.heartbeat?.getTime(), clock.now());
  stop.abort(new Error("stop"));
  await assert.rejects(beating, { message: "stop" });
  assert.equal(clock.sleeping, 0);
});

Deno.test("a heartbeat that fails later is tried again soon, then ever more rarely", async () => {
  const { clock, state, stop, control, beating } = setUp();
  state.update({ phase: "up" });
  await clock.advance(0);
  control.fail = new SallyportError("api-unreachable", "away");
  await clock.advance(10 * 60_000);
  assert.deepEqual(control.beats, [0, 180, 190, 210, 250, 330, 490]);
  stop.abort();
  await beating.catch(() => {});
});

Deno.test("a heartbeat waits as long as the platform asks", async () => {
  const { clock, state, stop, control, beating } = setUp();
  control.fail = new SallyportError("api-rate-limited", "slow down", { retryAfter: 60_000 });
  state.update({ phase: "up" });
  await clock.advance(119_000);
  assert.deepEqual(control.beats, [0, 60]);
  stop.abort();
  await beating.catch(() => {});
});
