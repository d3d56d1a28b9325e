import assert from "node:assert/strict";
import fc from "fast-check";
import { Backoff } from "../../src/link/backoff.ts";

const always = () => 0.999999;

function series(backoff: Backoff, count: number, now = 0, cheap = false): number[] {
  return Array.from({ length: count }, () => backoff.next(now, { cheap }));
}

Deno.test("the bound doubles with each failure until its cap", () => {
  const backoff = new Backoff({ base: 100, cap: 1000, random: always });
  assert.deepEqual(series(backoff, 6), [100, 200, 400, 800, 1000, 1000]);
});

Deno.test("a link that was stable is tried again nearly at once, then with growing delays", () => {
  const backoff = new Backoff({ base: 100, random: always });
  series(backoff, 5);
  backoff.up(1000);
  assert.deepEqual(series(backoff, 3, 61_000), [100, 200, 400]);
});

Deno.test("a link that comes and goes does not begin anew", () => {
  const backoff = new Backoff({ base: 100, random: always });
  series(backoff, 3);
  backoff.up(1000);
  assert.equal(backoff.next(60_999), 800);
});

Deno.test("a link that was up is tried again within a second, however often it was lost", () => {
  const backoff = new Backoff({ random: always });
  for (let loss = 0; loss < 20; loss++) {
    backoff.up(loss * 5000);
    assert.ok(backoff.next(loss * 5000 + 4000) <= 1000);
  }
  assert.equal(backoff.next(100_000), 30_000, "but a relay that refuses is not");
});

Deno.test("the first loss of a young link is tried again nearly at once, the second is not", () => {
  const backoff = new Backoff({ base: 100, random: always });
  backoff.up(0);
  assert.equal(backoff.next(5), 100);
  backoff.up(6);
  assert.equal(backoff.next(7), 200);
});

Deno.test("cheap attempts stay frequent for two minutes, and never become rare", () => {
  const backoff = new Backoff({ base: 100, random: always });
  assert.deepEqual(series(backoff, 8, 0, true).slice(-3), [1000, 1000, 1000]);
  assert.equal(backoff.next(119_999, { cheap: true }), 1000);
  assert.equal(backoff.next(120_000, { cheap: true }), 4000);
  assert.equal(backoff.next(3_600_000, { cheap: true }), 4000);
  assert.equal(backoff.next(3_600_000), 30_000);
});

Deno.test("the wait is anything between nothing and the bound", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 0.999999, noNaN: true }), { minLength: 1, maxLength: 60 }),
    (dice) => {
      let i = 0;
      const backoff = new Backoff({ random: () => dice[i++ % dice.length]! });
      return series(backoff, 60).every((wait) => wait >= 0 && wait <= 30_000);
    },
  ));
});

/**
 * A fleet that loses its relay at one moment, in virtual time: each attempt is cheap until the relay
 * listens again, and then costs it a handshake, of which it can do `perSecond`.
 */
function fleet(size: number, { away, perSecond }: { away: number; perSecond: number }) {
  const arrivals = Array.from({ length: size }, () => {
    const backoff = new Backoff();
    backoff.up(-100_000);
    let at = backoff.next(0);
    while (at < away) at += Math.max(1, backoff.next(at, { cheap: true }));
    return at - away;
  }).sort((a, b) => a - b);
  let busyUntil = 0;
  let worst = 0;
  for (const at of arrivals) {
    busyUntil = Math.max(busyUntil, at) + 1000 / perSecond;
    worst = Math.max(worst, busyUntil - at);
  }
  return { arrivals, worst };
}

Deno.test("500 gateways that lose a relay at one moment come back spread out", () => {
  for (const away of [3_000, 30_000, 3_600_000]) {
    const { arrivals, worst } = fleet(500, { away, perSecond: 200 });
    const most = away < 120_000 ? 1_000 : 4_000;
    assert.ok(Math.max(...arrivals) <= most, `the last comes after ${Math.max(...arrivals)} ms`);
    for (let from = 0; from < most; from += most / 10) {
      const together = arrivals.filter((at) => at >= from && at < from + most / 10).length;
      assert.ok(together < 500 / 3, `${together} come within a tenth of the time`);
    }
    assert.ok(worst < 5_000, `one waits ${worst} ms for its handshake, more than its limit`);
  }
});
