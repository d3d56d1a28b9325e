import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { LinkState } from "../../src/link/state.ts";

Deno.test("a new phase begins when it is entered, and only then", () => {
  let now = 1000;
  const state = new LinkState("g", () => now);
  assert.deepEqual(state.snapshot, {
    phase: "starting",
    since: new Date(1000),
    gateway: "g",
    reconnects: 0,
    channels: { open: 0, served: 0, failed: 0, refused: 0, bytesIn: 0, bytesOut: 0 },
  });
  now = 2000;
  state.update({ phase: "connecting" });
  now = 3000;
  state.update({ phase: "connecting", gatewayId: "id" });
  assert.equal(state.snapshot.since.getTime(), 2000);
  assert.equal(state.snapshot.gatewayId, "id");
});

Deno.test("listeners hear of each change until they leave, also in the middle of one", () => {
  const state = new LinkState("g");
  const heard: string[] = [];
  const leave = state.subscribe(({ phase }) => {
    heard.push(phase);
    if (phase === "up") leave();
  });
  state.subscribe(({ phase }) => heard.push(`second ${phase}`));
  state.update({ phase: "up" });
  state.update({ phase: "down" });
  assert.deepEqual(heard, ["up", "second up", "second down"]);
});

Deno.test("an error is kept with its time and hint", () => {
  const state = new LinkState("g", () => 5);
  state.fault(new SallyportError("relay-none", "nobody", { hint: "start one" }), "down");
  const { lastError, phase } = state.snapshot;
  assert.equal(phase, "down");
  assert.deepEqual(lastError, {
    code: "relay-none",
    message: "nobody",
    hint: "start one",
    at: new Date(5),
  });
});

Deno.test("a state can be waited for, and the waiting ended", async () => {
  const state = new LinkState("g");
  const up = state.until(({ phase }) => phase === "up");
  const stop = new AbortController();
  const never = state.until(() => false, stop.signal);
  state.update({ phase: "connecting" });
  state.update({ phase: "up" });
  assert.equal((await up).phase, "up");
  assert.equal((await state.until(({ phase }) => phase === "up")).phase, "up");
  stop.abort(new Error("enough"));
  await assert.rejects(never, { message: "enough" });
  await assert.rejects(state.until(() => true, stop.signal), { message: "enough" });
});

Deno.test("channels are counted when somebody asks, latency is one of a tunnel that is up", () => {
  const state = new LinkState("g");
  let open = 1;
  state.measureBy({
    channels: () => ({ open, served: 2, failed: 3, refused: 1, bytesIn: 4, bytesOut: 5 }),
    latency: () => 12,
  });
  assert.equal(state.snapshot.channels.open, 1);
  open = 2;
  assert.deepEqual(state.snapshot.channels, {
    open: 2,
    served: 2,
    failed: 3,
    refused: 1,
    bytesIn: 4,
    bytesOut: 5,
  });
  assert.equal(state.snapshot.latency, undefined);
  state.update({ phase: "up" });
  assert.equal(state.snapshot.latency, 12);
  state.update({ phase: "down" });
  assert.equal(state.snapshot.latency, undefined);
});
