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

Deno.test("a link that was stable is tried again at once, then with growing delays", () => {
  const backoff = new Backoff({ base: 100, random: always });
  series(backoff, 5);
  backoff.up(1000);
  assert.deepEqual(series(backoff, 3, 61_000), [0, 200, 400]);
});

Deno.test("a link that comes and goes does not begin anew", () => {
  const backoff = new Backoff({ base: 100, random: always });
  series(backoff, 3);
  backoff.up(1000);
  assert.equal(backoff.next(60_999), 800);
});

Deno.test("the first loss of a young link is tried again at once, the second is not", () => {
  const backoff = new Backoff({ base: 100, random: always });
  backoff.up(0);
  assert.equal(backoff.next(5), 0);
  backoff.up(6);
  assert.equal(backoff.next(7), 200);
});

Deno.test("cheap attempts stay frequent for two minutes", () => {
  const backoff = new Backoff({ base: 100, random: always });
  assert.deepEqual(series(backoff, 8, 0, true).slice(-3), [1000, 1000, 1000]);
  assert.equal(backoff.next(119_999, { cheap: true }), 1000);
  assert.equal(backoff.next(120_000, { cheap: true }), 30_000);
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
