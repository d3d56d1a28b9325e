import assert from "node:assert/strict";
import type { CommandContext } from "../../src/cli/context.ts";
import { watchStatus } from "../../src/cli/status_watch.ts";
import { SallyportError } from "../../src/errors.ts";
import type { GatewayHealth } from "../../src/health/client.ts";
import { History } from "../../src/health/history.ts";
import { describeStatus } from "../../src/health/status.ts";
import { LinkState } from "../../src/link/state.ts";
import { VirtualClock } from "../virtual_clock.ts";

/** A watch whose every second, and what the gateway says then, is the test's. */
function setUp(more: { json?: boolean; terminal?: boolean } = {}) {
  const clock = new VirtualClock();
  const state = new LinkState("edge-1", clock.now);
  const carried = { bytesIn: 0, bytesOut: 0 };
  state.measureBy({
    channels: () => ({ open: 1, served: 0, failed: 0, refused: 0, ...carried }),
    latency: () => undefined,
  });
  const history = new History(state, clock.now);
  const stop = new AbortController();
  const said: string[] = [];
  const complaints: string[] = [];
  const control = { silent: false, asked: 0 };
  const context: CommandContext = {
    out: (text) => said.push(text),
    err: (text) => complaints.push(text),
    terminal: more.terminal ? { columns: () => 100, rows: () => 50, colours: false } : undefined,
    env: {},
    signal: stop.signal,
    onReload: () => {},
  };
  const ask = (): Promise<GatewayHealth> => {
    control.asked++;
    if (control.silent) {
      return Promise.reject(new SallyportError("gateway-unreachable", "no gateway answers"));
    }
    const status = describeStatus(state.snapshot, history, clock.now());
    return Promise.resolve(JSON.parse(JSON.stringify({ status, history: history.all })));
  };
  const status = watchStatus({ ask, json: more.json ?? false, clock }, context);
  const end = async () => {
    stop.abort();
    assert.equal(await status, 0);
    history.close();
  };
  return { clock, state, carried, said, complaints, control, end };
}

Deno.test("what stays the same is said once, however often it is looked at", async () => {
  const { clock, state, said, control, end } = setUp();
  await clock.advance(10_000);
  assert.equal(control.asked, 11);
  state.update({ phase: "up", relay: { address: "r:1" } });
  await clock.advance(5_000);
  control.silent = true;
  await clock.advance(5_000);
  control.silent = false;
  await clock.advance(5_000);
  await end();
  assert.deepEqual(said, [
    "2030-01-01T00:00:00Z  edge-1: the gateway is not registered yet",
    "2030-01-01T00:00:11Z  edge-1: the tunnel is up through r:1",
    "2030-01-01T00:00:16Z  no gateway answers",
    "2030-01-01T00:00:21Z  edge-1: the tunnel is up through r:1",
  ]);
});

Deno.test("as JSON, silence goes to standard error once, and objects go on after it", async () => {
  const { clock, said, complaints, control, end } = setUp({ json: true });
  await clock.advance(2_000);
  control.silent = true;
  await clock.advance(3_000);
  control.silent = false;
  await clock.advance(1_000);
  await end();
  assert.equal(said.length, 4);
  for (const line of said) assert.equal(JSON.parse(line).gateway, "edge-1");
  assert.deepEqual(complaints, ["sallyport: no gateway answers"]);
});

Deno.test("a view of a gateway that has fallen silent keeps what it said last", async () => {
  const { clock, state, said, control, end } = setUp({ terminal: true });
  state.update({ phase: "up", relay: { address: "r:1" } });
  await clock.advance(1_000);
  control.silent = true;
  await clock.advance(1_000);
  const last = said.at(-1)!;
  assert.match(last, /● no gateway answers/);
  assert.match(last, /last heard: edge-1: the tunnel is up through r:1/);
  assert.match(last, /tunnel up through r:1/);
  await end();
  assert.ok(said.at(-1)!.endsWith("no gateway answers"));
});
