import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { Backoff } from "../../src/link/backoff.ts";
import type { Registered, RelayWish } from "../../src/link/register.ts";
import { Rotation } from "../../src/link/rotation.ts";
import { LinkState } from "../../src/link/state.ts";
import { supervise } from "../../src/link/supervisor.ts";
import { captureLog } from "../captured_log.ts";
import { settle, VirtualClock } from "../virtual_clock.ts";
import { FakeChannels, FakeSession, registered } from "./fixtures.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const error = (code: ErrorCode, details = {}) => new SallyportError(code, code, details);

interface SetUp {
  namedRelay?: boolean;
  life?: number;
}

/** A supervisor whose attempts fail with what stands in `failures`, and succeed when it is empty. */
function setUp({ namedRelay = true, life = 24 * HOUR }: SetUp = {}) {
  const clock = new VirtualClock();
  const state = new LinkState("g", clock.now);
  const stop = new AbortController();
  const wishes: (RelayWish & { avoided: string[] })[] = [];
  const sessions: FakeSession[] = [];
  const attempts: { relay?: string; at: number }[] = [];
  const failures: SallyportError[] = [];
  const apiFailures: SallyportError[] = [];
  const channels: FakeChannels[] = [];
  const start = clock.now();
  const connecting: { before?: () => Promise<void> } = {};
  const rotation = new Rotation({
    register: (wish): Promise<Registered> => {
      wishes.push({ ...wish, avoided: [...wish.avoid ?? []] });
      const failure = apiFailures.shift();
      if (failure) return Promise.reject(failure);
      const name = namedRelay ? "r" : `r${wishes.length}`;
      return Promise.resolve(registered(name, clock.now(), life));
    },
    openChannels: () => {
      channels.push(new FakeChannels());
      return channels.at(-1)!;
    },
    state,
    clock,
    random: () => 0,
  });
  const run = () =>
    supervise({
      rotation,
      state,
      clock,
      namedRelay,
      // With these dice every wait is its bound.
      backoff: new Backoff({ base: 1000, random: () => 0.9999999 }),
      connect: async ({ relayName }) => {
        attempts.push({ relay: relayName, at: clock.now() - start });
        const failure = failures.shift();
        if (failure) throw failure;
        await connecting.before?.();
        sessions.push(new FakeSession());
        return sessions.at(-1)!;
      },
    }, stop.signal);
  return {
    clock,
    state,
    stop,
    rotation,
    wishes,
    sessions,
    attempts,
    failures,
    apiFailures,
    channels,
    connecting,
    run,
  };
}

Deno.test("the link comes up, and ends cleanly when it is told to", async () => {
  const { state, stop, sessions, run, clock } = setUp();
  const phases: string[] = [];
  state.subscribe(({ phase }) => phases.at(-1) === phase || phases.push(phase));
  const finished = run();
  await settle();
  assert.equal(state.snapshot.phase, "up");
  assert.deepEqual(state.snapshot.relay, { name: "r", address: "r:2222" });
  stop.abort();
  await finished;
  assert.ok(sessions[0]!.closedByUs);
  assert.deepEqual(phases, ["starting", "connecting", "up", "draining", "down"]);
  assert.equal(clock.sleeping, 0);
});

Deno.test("a lost link is tried again nearly at once, with the certificates it had", async () => {
  const { clock, state, stop, sessions, attempts, wishes, run } = setUp();
  const finished = run();
  await clock.advance(10 * MINUTE);
  sessions[0]!.lose(error("ssh-closed"));
  await clock.advance(100);
  assert.equal(state.snapshot.phase, "up");
  assert.equal(state.snapshot.reconnects, 1);
  assert.equal(state.snapshot.lastError?.code, "ssh-closed");
  assert.deepEqual(attempts.map(({ at }) => at), [0, 10 * MINUTE + 100]);
  assert.equal(wishes.length, 1);
  stop.abort();
  await finished;
});

Deno.test("after that the waits grow, and a link once up never gives up", async () => {
  const { clock, state, stop, sessions, attempts, failures, run } = setUp();
  const finished = run();
  await clock.advance(2 * MINUTE);
  failures.push(...Array.from({ length: 6 }, () => error("ssh-closed")));
  failures.push(error("certificate-authority"), error("credentials-refused"), error("internal"));
  const lost = clock.now();
  sessions[0]!.lose(error("ssh-closed"));
  await clock.advance(10 * MINUTE);
  const first = attempts[1]!.at;
  assert.deepEqual(
    attempts.slice(1).map(({ at }) => (at - first) / 1000),
    [0, 2, 6, 14, 30, 60, 90, 120, 150, 180],
  );
  assert.equal(state.snapshot.phase, "up");
  assert.ok(lost < clock.now());
  stop.abort();
  await finished;
});

Deno.test("while only TCP is refused the attempts stay a second apart", async () => {
  const { clock, stop, sessions, attempts, failures, run } = setUp();
  const finished = run();
  await clock.advance(2 * MINUTE);
  failures.push(...Array.from({ length: 5 }, () => error("relay-unreachable")));
  sessions[0]!.lose(error("ssh-closed"));
  await clock.advance(MINUTE);
  const first = attempts[1]!.at;
  assert.deepEqual(attempts.slice(1).map(({ at }) => (at - first) / 1000), [0, 1, 2, 3, 4, 5]);
  stop.abort();
  await finished;
});

Deno.test("before the first link, an error that time does not cure ends the gateway", async () => {
  for (const code of ["credentials-refused", "api-rejected", "api-not-found"] as const) {
    const { apiFailures, run } = setUp();
    apiFailures.push(error(code));
    await assert.rejects(run(), { code });
  }
  const { failures, run } = setUp();
  failures.push(error("certificate-authority"));
  await assert.rejects(run(), { code: "certificate-authority" });
});

Deno.test("before the first link, an error that may pass is tried again", async () => {
  const { clock, state, stop, apiFailures, failures, run } = setUp();
  apiFailures.push(error("api-unreachable"), error("api-status"));
  failures.push(error("relay-unreachable"));
  const finished = run();
  await settle();
  assert.equal(state.snapshot.phase, "down");
  assert.equal(state.snapshot.lastError?.code, "api-unreachable");
  await clock.advance(MINUTE);
  assert.equal(state.snapshot.phase, "up");
  assert.equal(state.snapshot.reconnects, 0, "the first time is no reconnect");
  stop.abort();
  await finished;
});

Deno.test("the platform's Retry-After is kept to", async () => {
  const { clock, stop, apiFailures, wishes, run } = setUp();
  apiFailures.push(error("api-rate-limited", { retryAfter: 45_000 }));
  const finished = run();
  await clock.advance(44_999);
  assert.equal(wishes.length, 1);
  await clock.advance(1);
  assert.equal(wishes.length, 2);
  stop.abort();
  await finished;
});

Deno.test("certificates that the relay refuses are replaced before the next attempt", async () => {
  const { clock, stop, failures, wishes, run } = setUp();
  failures.push(error("ssh-authentication"));
  const finished = run();
  await clock.advance(MINUTE);
  assert.equal(wishes.length, 2);
  stop.abort();
  await finished;
});

Deno.test("a named relay that stays away is looked up anew, at most every ten seconds", async () => {
  const { clock, stop, failures, wishes, attempts, run } = setUp();
  failures.push(...Array.from({ length: 30 }, () => error("relay-unreachable")));
  const finished = run();
  await clock.advance(29_500);
  assert.equal(attempts.length, 30);
  assert.equal(wishes.length, 4);
  stop.abort();
  await finished;
});

Deno.test("without a named relay, one that fails is avoided and another is asked for", async () => {
  const { clock, state, stop, sessions, failures, wishes, attempts, run } = setUp({
    namedRelay: false,
  });
  failures.push(error("certificate-authority"));
  const finished = run();
  await clock.advance(2 * MINUTE);
  assert.deepEqual(attempts.map(({ relay }) => relay), ["r1", "r2"]);
  assert.deepEqual(wishes.map(({ avoided }) => avoided), [[], ["r1"]]);
  assert.equal(state.snapshot.phase, "up");
  sessions[0]!.lose(error("ssh-closed"));
  failures.push(error("relay-unreachable"));
  await clock.advance(MINUTE);
  assert.deepEqual(attempts.map(({ relay }) => relay), ["r1", "r2", "r2", "r3"]);
  assert.deepEqual(wishes.at(-1)?.avoided, ["r2"]);
  stop.abort();
  await finished;
});

Deno.test("what the platform refuses is not blamed on the relay that failed before", async () => {
  const { clock, failures, apiFailures, wishes, run } = setUp({ namedRelay: false, life: 0 });
  failures.push(error("certificate-principal"));
  const finished = run();
  finished.catch(() => {});
  await settle();
  apiFailures.push(error("credentials-refused"));
  await clock.advance(MINUTE);
  await assert.rejects(finished, { code: "credentials-refused" });
  assert.equal(wishes.length, 2);
});

Deno.test("beside a relay that takes a successor, the new session comes first and the old one drains", async () => {
  const { clock, state, stop, rotation, sessions, attempts, run } = setUp({ life: 12 * HOUR });
  const phases: string[] = [];
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  state.subscribe(({ phase }) => phases.push(phase));
  sessions[0]!.channels = 1;
  await clock.advance(6 * HOUR);
  assert.equal(attempts.length, 2, "it follows the renewal");
  assert.equal(sessions[0]!.closedByUs, false, "a channel is open in it");
  sessions[0]!.channels = 0;
  await clock.advance(1000);
  assert.ok(sessions[0]!.closedByUs);
  assert.equal(sessions[1]!.closedByUs, false);
  assert.deepEqual(new Set(phases), new Set(["up"]), "nobody saw a gap");
  assert.equal(state.snapshot.reconnects, 0);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("an old session whose channels do not end is closed when its certificate ends", async () => {
  const { clock, stop, rotation, sessions, run } = setUp({ life: 12 * HOUR });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  sessions[0]!.channels = 1;
  await clock.advance(11 * HOUR - 2000);
  assert.equal(sessions[0]!.closedByUs, false);
  await clock.advance(3000);
  assert.ok(sessions[0]!.closedByUs);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("a relay that ends the old session as soon as the new one comes causes no loss", async () => {
  const { clock, state, stop, rotation, sessions, run, connecting } = setUp({ life: 12 * HOUR });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  connecting.before = () => {
    sessions[0]!.lose(error("ssh-closed"));
    return settle();
  };
  await clock.advance(6 * HOUR);
  assert.equal(sessions.length, 2);
  assert.deepEqual([state.snapshot.phase, state.snapshot.reconnects], ["up", 0]);
  assert.equal(state.snapshot.lastError, undefined);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("a successor that cannot be brought up is tried again, and the old session serves on", async () => {
  const { clock, state, stop, rotation, sessions, failures, attempts, run } = setUp({
    life: 12 * HOUR,
  });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  failures.push(error("relay-unreachable"), error("timeout"));
  await clock.advance(6 * HOUR);
  assert.equal(sessions[0]!.closedByUs, true);
  assert.equal(attempts.length, 4);
  assert.equal(state.snapshot.reconnects, 0);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("with a relay that keeps one connection the session moves before its end, when no channel is open", async () => {
  const { clock, state, stop, rotation, sessions, channels, failures, attempts, run } = setUp({
    life: 12 * HOUR,
  });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  failures.push(error("ssh-closed"));
  await clock.advance(6 * HOUR);
  assert.equal(attempts.length, 2, "a second connection was tried, and was closed");
  assert.equal(sessions.length, 1);
  rotation.accept(new PassThrough());
  const busy = channels.at(-1)!;
  await clock.advance(5 * HOUR - 11 * MINUTE);
  assert.equal(sessions.length, 1);
  await clock.advance(2 * MINUTE);
  assert.equal(sessions.length, 1, "a channel is open");
  busy.finish();
  await clock.advance(1000);
  assert.equal(sessions.length, 2);
  assert.ok(sessions[0]!.closedByUs);
  assert.equal(state.snapshot.phase, "up");
  assert.equal(state.snapshot.lastError, undefined, "moving is no fault");
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("there, a channel that does not end holds the session until a minute before the end", async () => {
  const { clock, stop, rotation, sessions, channels, failures, run } = setUp({ life: 12 * HOUR });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  failures.push(error("ssh-closed"));
  await clock.advance(10 * HOUR);
  rotation.accept(new PassThrough());
  assert.equal(channels.at(-1)!.counts.open, 1);
  await clock.advance(58 * MINUTE);
  assert.equal(sessions.length, 1);
  await clock.advance(1.5 * MINUTE);
  assert.equal(sessions.length, 2);
  channels.forEach((server) => server.finish());
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("while no certificates can be had the session ends with its own, and comes back with new ones", async () => {
  const { clock, state, stop, rotation, sessions, attempts, apiFailures, run } = setUp({
    life: 12 * HOUR,
  });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await settle();
  apiFailures.push(...Array.from({ length: 10_000 }, () => error("api-unreachable")));
  await clock.advance(12 * HOUR);
  assert.deepEqual([state.snapshot.phase, sessions[0]!.closedByUs], ["up", false]);
  await clock.advance(2 * MINUTE);
  assert.deepEqual([sessions[0]!.closedByUs, attempts.length], [true, 1]);
  assert.equal(state.snapshot.phase, "down");
  assert.equal(state.snapshot.lastError?.code, "api-unreachable");
  apiFailures.length = 0;
  await clock.advance(MINUTE);
  assert.deepEqual([state.snapshot.phase, sessions.length], ["up", 2]);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("a clock that is put forward past the certificates' end makes no gap", async () => {
  const { clock, state, stop, rotation, sessions, run } = setUp({ life: 12 * HOUR });
  const finished = run();
  const fresh = rotation.keepFresh(stop.signal).catch(() => {});
  await clock.advance(HOUR);
  clock.step(24 * HOUR);
  await clock.advance(2 * MINUTE);
  assert.equal(sessions.length, 2);
  assert.deepEqual([state.snapshot.phase, state.snapshot.reconnects], ["up", 0]);
  assert.equal(state.snapshot.lastError, undefined);
  stop.abort();
  await finished;
  await fresh;
});

Deno.test("an hour without the relay is told in a few lines, and the recovery with how long it was", async () => {
  const { clock, state, stop, sessions, failures, run } = setUp();
  const finished = run();
  await clock.advance(2 * MINUTE);
  using log = captureLog();
  failures.push(...Array.from({ length: 900 }, () => error("relay-unreachable")));
  sessions[0]!.lose(error("ssh-closed"));
  await clock.advance(2 * HOUR);
  assert.equal(state.snapshot.phase, "up");
  const told = log.lines.map((line) => line.replace(/^.*? link: /, "").replace(/ in \d+ ms:/, ":"));
  assert.equal(told[0], "tunnel lost: ssh-closed");
  assert.equal(told[1], "trying again: ssh-closed");
  assert.equal(told[2], "trying again: relay-unreachable");
  assert.match(
    told[3]!,
    /^trying again: relay-unreachable \(the same \d+ times since 00:02:0\d\)$/,
  );
  assert.match(
    told.at(-1)!,
    /^tunnel is up again through relay r at r:2222 \(after 901 failures in 5\d min( \d+ s)?\)$/,
  );
  assert.ok(told.length <= 11, log.lines.join("\n"));
  stop.abort();
  await finished;
});

Deno.test("a link that comes and goes every few seconds is no storm in the log", async () => {
  const { clock, stop, sessions, run } = setUp();
  const finished = run();
  await settle();
  using log = captureLog();
  for (let i = 0; i < 300; i++) {
    sessions.at(-1)!.lose(error("ssh-closed"));
    await clock.advance(6000);
  }
  assert.equal(sessions.length, 301);
  const of = (text: string) => log.lines.filter((line) => line.includes(text)).length;
  assert.deepEqual([of("tunnel lost"), of("tunnel is up again"), of("trying again")], [4, 4, 4]);
  stop.abort();
  await finished;
});

Deno.test("stopping gives open channels ten seconds", async () => {
  const { clock, state, stop, rotation, sessions, run } = setUp();
  const finished = run();
  await settle();
  rotation.accept(new PassThrough());
  stop.abort();
  await clock.advance(9999);
  assert.equal(state.snapshot.phase, "draining");
  assert.equal(sessions[0]!.closedByUs, false);
  await clock.advance(1);
  await finished;
  assert.ok(sessions[0]!.closedByUs);
});

Deno.test("stopping ends a wait between attempts at once", async () => {
  const { clock, stop, apiFailures, run } = setUp();
  apiFailures.push(error("api-unreachable"));
  const finished = run();
  await settle();
  assert.equal(clock.sleeping, 1);
  stop.abort();
  await finished;
  assert.equal(clock.sleeping, 0);
});
