import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { keepToPreferred, PreferredRelay } from "../../src/link/preferred_relay.ts";
import type { RelaySighting } from "../../src/link/select_relay.ts";
import { LinkState } from "../../src/link/state.ts";
import { captureLog } from "../captured_log.ts";
import { VirtualClock } from "../virtual_clock.ts";
import { registered } from "./fixtures.ts";

const MINUTE = 60_000;
const own = (name: string, ms = 5): RelaySighting => ({ name, own: true, ms });
const instance = (name: string, ms = 5): RelaySighting => ({ name, own: false, ms });

/** What each of `looks` leads to, in a session through `current`. */
function moves(home: string, current: string, ...looks: RelaySighting[][]) {
  const preferred = new PreferredRelay(home);
  return looks.map((sightings) => preferred.note(sightings, current));
}

const none = undefined;

Deno.test("a relay that one came from is gone back to once it was well in three looks in a row", () => {
  const both = [own("a", 6), own("b", 5)];
  assert.deepEqual(moves("a", "b", both, both, both), [none, none, "a"]);
  const away = [own("b")];
  assert.deepEqual(
    moves("a", "b", both, both, away, both, both, both),
    [none, none, none, none, none, "a"],
    "one that comes and goes is not well",
  );
});

Deno.test("the organisation's relays go before the instance's, however far they are", () => {
  const look = [instance("a", 1), own("far", 90), own("b", 40)];
  assert.deepEqual(moves("a", "a", look, look, look), [none, none, "b"]);
  assert.deepEqual(moves("a", "b", look, look, look), [none, none, none], "and nobody goes back");
});

Deno.test("among equals only a much nearer one is worth a move", () => {
  const alike = [own("a", 20), own("b", 12)];
  assert.deepEqual(moves("a", "a", alike, alike, alike), [none, none, none]);
  const tiny = [own("a", 3), own("b", 1)];
  assert.deepEqual(moves("a", "a", tiny, tiny, tiny), [none, none, none]);
  const near = [own("a", 90), own("b", 12)];
  assert.deepEqual(moves("a", "a", near, near, near), [none, none, "b"]);
  assert.deepEqual(
    moves("a", "b", near, near, near),
    [none, none, none],
    "not back to the far one",
  );
});

Deno.test("while the relay in use takes nobody new, nothing is compared with it", () => {
  const look = [own("b")];
  assert.deepEqual(moves("a", "a", look, look, look, look), [none, none, none, none]);
});

/** Looks around in virtual time; the session follows as soon as it is told to, unless `stuck`. */
function setUp({ stuck = false } = {}) {
  const clock = new VirtualClock();
  const state = new LinkState("g", clock.now);
  const stop = new AbortController();
  const control = {
    sightings: [] as RelaySighting[],
    fail: undefined as SallyportError | undefined,
    looks: 0,
    moves: [] as string[],
  };
  const rotation = {
    newest: registered("a", clock.now(), 24 * 60 * MINUTE),
    moveTo(name: string): Promise<void> {
      control.moves.push(name);
      rotation.newest = registered(name, clock.now(), 24 * 60 * MINUTE);
      if (!stuck) state.update({ relay: { name, address: name } });
      return Promise.resolve();
    },
  };
  const finished = keepToPreferred({
    look: () => {
      control.looks++;
      return control.fail ? Promise.reject(control.fail) : Promise.resolve(control.sightings);
    },
    rotation,
    state,
    clock,
    random: () => 0.5,
  }, stop.signal);
  finished.catch(() => {});
  const up = (name?: string) => state.update({ phase: "up", relay: { name, address: "x" } });
  return { clock, state, stop, control, rotation, finished, up };
}

Deno.test("a gateway that had to go to another relay comes back ten minutes after that one", async () => {
  const { clock, state, stop, control, rotation, finished, up } = setUp();
  up("a");
  control.sightings = [own("a"), own("b")];
  await clock.advance(30 * MINUTE);
  assert.deepEqual(control.moves, []);
  rotation.newest = registered("b", clock.now(), 24 * 60 * MINUTE);
  up("b");
  control.sightings = [own("b")];
  await clock.advance(60 * MINUTE);
  assert.deepEqual(control.moves, [], "however long it takes");
  control.sightings = [own("a"), own("b")];
  await clock.advance(10 * MINUTE);
  assert.deepEqual(control.moves, []);
  await clock.advance(5 * MINUTE);
  assert.deepEqual(control.moves, ["a"]);
  assert.equal(state.snapshot.relay?.name, "a");
  await clock.advance(60 * MINUTE);
  assert.deepEqual(control.moves, ["a"], "and stays");
  stop.abort(new Error("stop"));
  await assert.rejects(finished, { message: "stop" });
  assert.equal(clock.sleeping, 0);
});

Deno.test("a session that could not follow stays where it is once the better relay has gone again", async () => {
  const { clock, stop, control, up } = setUp({ stuck: true });
  up("a");
  control.sightings = [instance("a"), own("b")];
  await clock.advance(16 * MINUTE);
  control.sightings = [instance("a")];
  await clock.advance(5 * MINUTE);
  assert.deepEqual(control.moves, ["b", "a"]);
  stop.abort();
});

Deno.test("nobody looks around while the tunnel is down, or where the platform chooses", async () => {
  const { clock, state, stop, control, up } = setUp();
  await clock.advance(60 * MINUTE);
  up(undefined);
  await clock.advance(60 * MINUTE);
  state.update({ phase: "down" });
  await clock.advance(60 * MINUTE);
  assert.equal(control.looks, 0);
  stop.abort();
});

Deno.test("a platform that does not list its relays is told now and then, and asked again", async () => {
  const { clock, stop, control, up } = setUp();
  using log = captureLog();
  up("a");
  control.fail = new SallyportError("api-unreachable", "away");
  await clock.advance(60 * MINUTE);
  assert.equal(control.looks, 12);
  assert.ok(log.lines.filter((line) => line.includes("no look")).length <= 7);
  control.fail = undefined;
  control.sightings = [instance("a"), own("b")];
  await clock.advance(15 * MINUTE);
  assert.deepEqual(control.moves, ["b"]);
  stop.abort();
});
