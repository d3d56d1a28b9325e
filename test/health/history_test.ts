import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { History, MOST_EVENTS, MOST_SAMPLES, SAMPLE_EVERY } from "../../src/health/history.ts";
import { historySchema } from "../../src/health/schema.ts";
import { LinkState } from "../../src/link/state.ts";

const START = Date.UTC(2030, 0, 1);

function setUp() {
  let now = START;
  const state = new LinkState("edge", () => now);
  const carried = { bytesIn: 0, bytesOut: 0 };
  state.measureBy({
    channels: () => ({ open: 0, served: 0, failed: 0, refused: 0, ...carried }),
    latency: () => undefined,
  });
  const history = new History(state, () => now);
  return {
    state,
    history,
    carried,
    pass: (ms: number) => now += ms,
    told: () => history.all.events.map(({ kind, text, times }) => [kind, text, times]).reverse(),
    [Symbol.dispose]: () => history.close(),
  };
}

const lost = new SallyportError("ssh-closed", "no sign of life");
const away = (port: number) =>
  new SallyportError("relay-unreachable", `refused from port ${port}`, { hint: "open 2222" });

Deno.test("a link's life is told as a person would", () => {
  using set = setUp();
  const { state, told, history } = set;
  const end = (day: number) => new Date(Date.UTC(2030, 0, day, 12, 30));
  state.update({ certificatesEnd: end(2) });
  state.update({ phase: "connecting", relay: { name: "r1", address: "a:2222" } });
  state.update({ phase: "up" });
  state.update({ heartbeat: new Date(START) });
  state.update({ certificatesEnd: end(3) });
  state.update({ relay: { name: "r2", address: "b:2222" } });
  state.fault(lost, "down");
  state.update({ phase: "connecting" });
  state.update({ phase: "up", reconnects: 1 });
  state.update({ phase: "draining" });
  assert.deepEqual(told(), [
    ["started", "the gateway has started", 1],
    ["up", "tunnel up through r1 (a:2222)", 1],
    ["renewed", "certificates renewed, they hold until 2030-01-03 12:30 UTC", 1],
    ["moved", "tunnel moved to r2 (b:2222)", 1],
    ["lost", "tunnel lost: no sign of life", 1],
    ["up", "tunnel up again through r2 (b:2222)", 1],
    ["stopping", "the gateway is stopping", 1],
  ]);
  assert.deepEqual(historySchema.parse(history.all), history.all);
});

Deno.test("an error that comes again and again is one event with a count, until the tunnel is up", () => {
  using set = setUp();
  const { state, told, history, pass } = set;
  const heartbeat = new SallyportError("api-unreachable", "away");
  for (let port = 1; port <= 100; port++) {
    pass(1000);
    state.update({ phase: "connecting" });
    state.fault(away(port), "down");
    if (port % 10 === 0) state.fault(heartbeat);
  }
  assert.deepEqual(told().slice(1), [
    ["error", "refused from port 100", 100],
    ["error", "away", 10],
  ]);
  assert.deepEqual(history.errors(1), [
    {
      at: "2030-01-01T00:01:40.000Z",
      kind: "error",
      text: "away",
      code: "api-unreachable",
      times: 10,
    },
  ]);
  state.update({ phase: "up" });
  state.fault(lost, "down");
  state.fault(away(101), "down");
  assert.deepEqual(told().slice(-2), [
    ["lost", "tunnel lost: no sign of life", 1],
    ["error", "refused from port 101", 1],
  ]);
});

Deno.test("however often the link comes and goes, so many events are kept", () => {
  using set = setUp();
  const { state, history, told } = set;
  for (let time = 0; time < 1000; time++) {
    state.update({ phase: "up", reconnects: time });
    state.fault(lost, "down");
  }
  assert.equal(history.all.events.length, MOST_EVENTS);
  assert.deepEqual(told().at(-1), ["lost", "tunnel lost: no sign of life", 1]);
});

Deno.test("throughput is bytes a second, of 15 minutes and no more", () => {
  using set = setUp();
  const { history, carried, pass } = set;
  const sample = (bytesIn: number, bytesOut: number, ms = SAMPLE_EVERY) => {
    carried.bytesIn += bytesIn;
    carried.bytesOut += bytesOut;
    pass(ms);
    history.sample();
  };
  sample(5000, 10);
  sample(0, 0);
  sample(60_000, 0, 60_000);
  assert.deepEqual(history.all.throughput, [
    { at: "2030-01-01T00:00:05.000Z", in: 1000, out: 2 },
    { at: "2030-01-01T00:00:10.000Z", in: 0, out: 0 },
    { at: "2030-01-01T00:01:10.000Z", in: 1000, out: 0 },
  ]);
  for (let count = 0; count < 2 * MOST_SAMPLES; count++) sample(count, 0);
  assert.equal(history.all.throughput.length, MOST_SAMPLES);
  assert.equal(MOST_SAMPLES * SAMPLE_EVERY, 15 * 60_000);
});

Deno.test("a clock that is put back makes no sample, and the next one is right", () => {
  using set = setUp();
  const { history, carried, pass } = set;
  carried.bytesIn = 100;
  pass(-60_000);
  history.sample();
  assert.equal(history.all.throughput.length, 0);
  carried.bytesIn = 600;
  pass(5_000);
  history.sample();
  assert.equal(history.all.throughput[0]?.in, 100);
});

Deno.test("a closed history hears of nothing more", () => {
  using set = setUp();
  set.history.close();
  set.state.update({ phase: "up" });
  assert.equal(set.history.all.events.length, 1);
});
