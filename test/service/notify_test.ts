/** What systemd hears of a link, over a real datagram socket; time is turned by hand. */
import assert from "node:assert/strict";
import process from "node:process";
import { SallyportError } from "../../src/errors.ts";
import { LinkState } from "../../src/link/state.ts";
import { notifyWhile, START_PATIENCE } from "../../src/service/notify.ts";
import { captureLog } from "../captured_log.ts";
import { VirtualClock } from "../virtual_clock.ts";
import { ManagerSocket } from "./manager_socket.ts";

const ignore = process.platform !== "linux";
const KEEPALIVE = { interval: 10_000, timeout: 10_000 };

/** A gateway that does what the test says, and its service manager. */
async function setUp(env: Record<string, string> = {}, abstract = false) {
  const manager = await ManagerSocket.open(abstract);
  const clock = new VirtualClock();
  const state = new LinkState("edge", clock.now);
  const traffic = { received: 0 };
  const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<void>();
  const told = notifyWhile(finished, {
    state,
    received: () => traffic.received,
    keepalive: KEEPALIVE,
    env: { NOTIFY_SOCKET: manager.name, ...env },
    clock,
  });
  told.catch(() => {});
  return {
    ...{ manager, clock, state, traffic, finish, fail, told },
    async [Symbol.asyncDispose]() {
      finish();
      await told.catch(() => {});
      await manager[Symbol.asyncDispose]();
    },
  };
}

const up = (state: LinkState) =>
  state.update({ phase: "up", relay: { name: "r1", address: "relay:2222" } });
const count = ({ assignments }: ManagerSocket, text: string) =>
  assignments.filter((one) => one === text).length;

for (const abstract of [false, true]) {
  Deno.test({
    name: `a gateway is ready when its tunnel is up, and stops, ${
      abstract ? "to an abstract name" : "to a path"
    }`,
    ignore,
    async fn() {
      await using there = await setUp({}, abstract);
      await there.manager.of(/^STATUS=the gateway is not registered yet$/);
      there.state.update({ phase: "connecting", relay: { address: "relay:2222" } });
      await there.manager.of(/^STATUS=connecting to relay:2222$/);
      assert.equal(count(there.manager, "READY=1"), 0);
      up(there.state);
      await there.manager.of(/^READY=1$/);
      await there.manager.of(/^STATUS=the tunnel is up through relay:2222$/);
      there.state.update({ phase: "draining" });
      await there.manager.of(/^STOPPING=1$/);
      there.state.update({ phase: "down" });
      there.finish();
      await there.told;
      await there.manager.of(/^STATUS=the tunnel is down/);
      assert.equal(count(there.manager, "STOPPING=1"), 1);
      assert.equal(count(there.manager, "READY=1"), 1);
    },
  });
}

Deno.test({
  name: "a gateway that has no tunnel yet has started all the same, and says why there is none",
  ignore,
  async fn() {
    await using there = await setUp();
    const fault = new SallyportError("relay-unreachable", "relay:2222\nREADY=1 refuses");
    there.state.fault(fault, "down");
    await there.manager.of(/^STATUS=the tunnel is down: relay:2222 READY=1 refuses$/);
    await there.clock.advance(START_PATIENCE - 1);
    assert.equal(count(there.manager, "READY=1"), 0);
    await there.clock.advance(1);
    await there.manager.of(/^READY=1$/);
    up(there.state);
    await there.manager.of(/^STATUS=the tunnel is up/);
    assert.equal(count(there.manager, "READY=1"), 1);
  },
});

Deno.test({
  name: "a gateway that cannot work has never been ready, and its error stays its own",
  ignore,
  async fn() {
    await using there = await setUp();
    await there.manager.of(/^STATUS/);
    there.fail(new SallyportError("credentials-refused", "no"));
    await assert.rejects(there.told, { code: "credentials-refused" });
    await there.manager.of(/^STOPPING=1$/);
    assert.equal(count(there.manager, "READY=1"), 0);
  },
});

Deno.test({
  name: "the watchdog hears of a link that moves, and of a wedged one no more",
  ignore,
  async fn() {
    using log = captureLog("warn");
    await using there = await setUp({ WATCHDOG_USEC: "90000000", WATCHDOG_PID: `${process.pid}` });
    up(there.state);
    for (let beat = 1; beat < 20; beat++) {
      there.traffic.received += 48;
      await there.clock.advance(30_000);
    }
    await there.manager.of(/^WATCHDOG=1$/, 20);
    // The session is silent, and nobody takes it for lost: one beat is within its time, then none.
    await there.clock.advance(30_000);
    await there.clock.advance(300_000);
    await log.line(/makes no progress/);
    there.state.update({ relay: { address: "marker:1" } });
    await there.manager.of(/marker:1/);
    assert.equal(count(there.manager, "WATCHDOG=1"), 21);
    // It is lost after all, and tried again.
    there.state.fault(new SallyportError("ssh-closed", "silent"), "down");
    await there.clock.advance(30_000);
    await there.manager.of(/^WATCHDOG=1$/, 22);
  },
});

Deno.test({
  name: "a watchdog for another process, or none, is not fed",
  ignore,
  async fn() {
    for (const env of [{}, { WATCHDOG_USEC: "90000000", WATCHDOG_PID: "1" }]) {
      await using there = await setUp(env as Record<string, string>);
      up(there.state);
      await there.clock.advance(600_000);
      await there.manager.of(/^STATUS=the tunnel is up/);
      assert.equal(count(there.manager, "WATCHDOG=1"), 0);
    }
  },
});

Deno.test("without a service manager, or with one that is gone, the gateway goes its way", async () => {
  using log = captureLog("warn");
  for (const name of [undefined, "vsock:2:1", "/no/such/socket"]) {
    const state = new LinkState("edge");
    const options = {
      state,
      received: () => 0,
      keepalive: KEEPALIVE,
      env: { NOTIFY_SOCKET: name },
    };
    await notifyWhile(Promise.resolve(), options);
    await assert.rejects(notifyWhile(Promise.reject(new Error("own")), options), /own/);
  }
  assert.equal(log.lines.filter((line) => /is not told/.test(line)).length, ignore ? 0 : 2);
});
