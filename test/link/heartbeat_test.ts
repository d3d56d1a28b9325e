import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { keepBeating } from "../../src/link/heartbeat.ts";
import { LinkState } from "../../src/link/state.ts";
import { captureLog } from "../captured_log.ts";
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

Deno.test("a heartbeat waits five minutes at most, whatever the platform asks", async () => {
  const { clock, state, stop, control, beating } = setUp();
  // More than a timer can hold: it would end at once.
  control.fail = new SallyportError("api-rate-limited", "no", { retryAfter: 999_999_999_000 });
  state.update({ phase: "up" });
  await clock.advance(11 * 60_000);
  assert.deepEqual(control.beats, [0, 300, 600]);
  assert.equal(state.snapshot.lastError?.code, "api-rate-limited");
  assert.equal(state.snapshot.phase, "up");
  stop.abort();
  await beating.catch(() => {});
});

Deno.test("heartbeats that fail are told in a few lines, and that they are taken again", async () => {
  const { clock, state, stop, control, beating } = setUp();
  using log = captureLog();
  state.update({ phase: "up" });
  await clock.advance(0);
  control.fail = new SallyportError("api-status", "503");
  await clock.advance(60 * 60_000);
  control.fail = undefined;
  await clock.advance(3 * 60_000);
  const told = log.lines.map((line) => line.replace(/^.*? link: /, ""));
  assert.equal(told[1], "heartbeat not taken: 503");
  assert.match(
    told.at(-1)!,
    /^heartbeats are taken again \(after 2\d failures in \d+ min( \d+ s)?\)$/,
  );
  assert.ok(told.length <= 9, told.join("\n"));
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
