import assert from "node:assert/strict";
import fc from "fast-check";
import { LONGEST_RENEWAL, renewalTime } from "../../src/certificates/renewal.ts";

const HOUR = 60 * 60 * 1000;
const now = new Date(Date.UTC(2030, 0, 1));
const at = (ms: number) => new Date(now.getTime() + ms);
const never = () => 0;

Deno.test("a certificate of three hours is renewed after two", () => {
  const due = renewalTime({ notBefore: now, notAfter: at(3 * HOUR), now, random: never });
  assert.equal(due.getTime(), now.getTime() + 2 * HOUR);
});

Deno.test("a certificate of a day is renewed after six hours, as the real gateway does", () => {
  const due = renewalTime({ notBefore: now, notAfter: at(24 * HOUR), now, random: never });
  assert.equal(due.getTime(), now.getTime() + 6 * HOUR);
});

Deno.test("a certificate past its time is renewed now", () => {
  const due = renewalTime({ notBefore: at(-3 * HOUR), notAfter: at(-HOUR), now });
  assert.equal(due.getTime(), now.getTime());
});

Deno.test("chance draws the moment forward by a tenth of the wait at most", () => {
  const options = { notBefore: now, notAfter: at(3 * HOUR), now };
  const due = renewalTime({ ...options, random: () => 0.999999 });
  assert.ok(due < at(2 * HOUR));
  assert.ok(due >= at(1.8 * HOUR));
});

Deno.test("the moment is never in the past, nor further away than the longest wait", () => {
  fc.assert(fc.property(
    fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
    fc.integer({ min: 0, max: 10 ** 12 }),
    fc.double({ min: 0, max: 0.999999, noNaN: true }),
    (start, life, dice) => {
      const due = renewalTime({
        notBefore: at(start),
        notAfter: at(start + life),
        now,
        random: () => dice,
      });
      return due >= now && due.getTime() <= now.getTime() + LONGEST_RENEWAL;
    },
  ));
});
