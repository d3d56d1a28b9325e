import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { SallyportError } from "../../src/errors.ts";
import type { Registered, RelayWish } from "../../src/link/register.ts";
import { Rotation } from "../../src/link/rotation.ts";
import { LinkState } from "../../src/link/state.ts";
import { settle, VirtualClock } from "../virtual_clock.ts";
import { FakeChannels, registered } from "./fixtures.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function setUp({ life = 24 * HOUR } = {}) {
  const clock = new VirtualClock();
  const state = new LinkState("g", clock.now);
  const wishes: RelayWish[] = [];
  const servers: FakeChannels[] = [];
  const stop = new AbortController();
  const control = { fail: undefined as SallyportError | undefined };
  const rotation = new Rotation({
    register: (wish): Promise<Registered> => {
      wishes.push(wish);
      if (control.fail) return Promise.reject(control.fail);
      return Promise.resolve(registered(`r${wishes.length}`, clock.now(), life));
    },
    openChannels: () => {
      const channels = new FakeChannels();
      servers.push(channels);
      return channels;
    },
    state,
    clock,
    random: () => 0,
  });
  const current = () => rotation.current(new Set(), stop.signal);
  return { clock, state, rotation, wishes, servers, stop, control, current };
}

Deno.test("certificates are fetched once and kept while they are good", async () => {
  const { clock, rotation, wishes, current, state } = setUp();
  const [first, same] = await Promise.all([current(), current()]);
  assert.equal(first, same);
  assert.equal(await current(), first);
  assert.equal(wishes.length, 1);
  assert.equal(state.snapshot.gatewayId, "gw-1");
  assert.equal(state.snapshot.certificatesEnd?.getTime(), clock.now() + 24 * HOUR);
  assert.equal(state.snapshot.nextRenewal?.getTime(), clock.now() + 6 * HOUR);
  await rotation.close();
});

Deno.test("certificates near their end, and discarded ones, are not given out", async () => {
  const { clock, rotation, wishes, current } = setUp();
  const first = await current();
  await clock.advance(24 * HOUR - 59_000);
  const second = await current();
  assert.notEqual(second, first);
  rotation.discard();
  assert.notEqual(await current(), second);
  assert.equal(await current(), rotation.newest);
  assert.equal(wishes.length, 3);
  await rotation.close();
});

Deno.test("discarded certificates that still hold are tried while no new ones can be had", async () => {
  const { clock, rotation, control, current } = setUp({ life: HOUR });
  const first = await current();
  rotation.discard();
  control.fail = new SallyportError("api-unreachable", "away");
  assert.equal(await current(), first);
  await clock.advance(HOUR);
  await assert.rejects(current(), { code: "api-unreachable" });
  await rotation.close();
});

Deno.test("certificates are renewed in time, for the same relay, again and again", async () => {
  const { clock, rotation, wishes, stop, current } = setUp();
  const fresh = rotation.keepFresh(stop.signal);
  await clock.advance(HOUR);
  assert.equal(wishes.length, 0, "nothing is renewed that was never fetched");
  await current();
  await clock.advance(6 * HOUR - 1);
  assert.equal(wishes.length, 1);
  await clock.advance(1);
  assert.deepEqual(wishes[1], { relayName: "r1" });
  await clock.advance(12 * HOUR);
  assert.equal(wishes.length, 4);
  stop.abort(new Error("stop"));
  await assert.rejects(fresh, { message: "stop" });
  assert.equal(clock.sleeping, 0);
  await rotation.close();
});

Deno.test("a renewal that fails is tried again every minute or two, and is logged, not fatal", async () => {
  const { clock, rotation, wishes, stop, control, current } = setUp();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await current();
  control.fail = new SallyportError("api-status", "503");
  await clock.advance(6 * HOUR);
  assert.equal(wishes.length, 2);
  await clock.advance(MINUTE);
  assert.equal(wishes.length, 3);
  control.fail = undefined;
  await clock.advance(MINUTE);
  assert.equal(rotation.newest?.relayName, "r4");
  await clock.advance(MINUTE);
  assert.equal(wishes.length, 4);
  stop.abort();
  await fresh;
  await rotation.close();
});

Deno.test("a renewal waits as long as the platform asks, and its failure is in the status", async () => {
  const { clock, rotation, state, wishes, stop, control, current } = setUp();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await current();
  state.update({ phase: "up" });
  control.fail = new SallyportError("api-rate-limited", "429", { retryAfter: 4 * MINUTE });
  await clock.advance(6 * HOUR);
  assert.deepEqual([state.snapshot.lastError?.message, state.snapshot.phase], ["429", "up"]);
  await clock.advance(4 * MINUTE - 1);
  assert.equal(wishes.length, 2);
  await clock.advance(1);
  assert.equal(wishes.length, 3);
  stop.abort();
  await fresh;
  await rotation.close();
});

Deno.test("when the relay is gone from the platform, the next connect asks for any", async () => {
  const { clock, rotation, wishes, stop, control, current } = setUp();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await current();
  control.fail = new SallyportError("api-not-found", "relay removed");
  await clock.advance(6 * HOUR);
  control.fail = undefined;
  await current();
  assert.deepEqual(wishes.at(-1), { avoid: new Set() });
  stop.abort();
  await fresh;
  await rotation.close();
});

Deno.test("certificates that come expired do not make the gateway ask without a pause", async () => {
  const { clock, rotation, wishes, stop, current } = setUp({ life: 0 });
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await current();
  await clock.advance(5 * MINUTE);
  assert.equal(wishes.length, 11);
  stop.abort();
  await fresh;
  await rotation.close();
});

Deno.test("new channels get the new certificates, open ones end with the old", async () => {
  const { rotation, servers, current } = setUp();
  await current();
  rotation.accept(new PassThrough());
  rotation.discard();
  await current();
  rotation.accept(new PassThrough());
  rotation.accept(new PassThrough());
  assert.deepEqual(servers.map(({ counts }) => counts.open), [1, 2]);
  assert.equal(rotation.open, 3);
  assert.equal(servers[0]!.closed, false);
  servers[0]!.finish();
  await settle();
  assert.equal(servers[0]!.closed, true);
  assert.equal(rotation.open, 2);
  await rotation.close();
  assert.equal(servers[1]!.closed, true);
});

Deno.test("while draining, and before there are certificates, channels are refused", async () => {
  const { rotation, servers, current } = setUp();
  const early = new PassThrough();
  rotation.accept(early);
  assert.ok(early.destroyed);
  await current();
  rotation.accept(new PassThrough());
  let drained = false;
  const draining = rotation.drain().then(() => drained = true);
  const late = new PassThrough();
  rotation.accept(late);
  assert.ok(late.destroyed);
  await settle();
  assert.equal(drained, false);
  servers[0]!.finish();
  await draining;
  await rotation.close();
});

Deno.test("counts go on over renewals, also those of channel servers that are gone", async () => {
  const { rotation, servers, current } = setUp();
  await current();
  rotation.accept(new PassThrough());
  Object.assign(servers[0]!.counts, {
    served: 3,
    failed: 1,
    refused: 2,
    bytesIn: 100,
    bytesOut: 10,
  });
  rotation.discard();
  await current();
  rotation.accept(new PassThrough());
  Object.assign(servers[1]!.counts, { served: 1, refused: 1, bytesIn: 5 });
  const both = { open: 2, served: 4, failed: 1, refused: 3, bytesIn: 105, bytesOut: 10 };
  assert.deepEqual(rotation.counts, both);
  servers[0]!.finish();
  await settle();
  assert.ok(servers[0]!.closed);
  assert.deepEqual(rotation.counts, { ...both, open: 1 });
  await rotation.close();
  assert.deepEqual(rotation.counts, { ...both, open: 0 });
});
