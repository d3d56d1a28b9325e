import assert from "node:assert/strict";
import * as fc from "fast-check";
import { FIRST_WINDOW, LARGEST_WINDOW, WindowBudget } from "../../src/ssh/window_budget.ts";

const MIB = 1024 * 1024;

/** A reader that always keeps up, for `rounds` openings of its window. */
function grow(budget: WindowBudget, rounds: number, window = budget.first()): number {
  for (let i = 0; i < rounds; i++) window += budget.change(window, window >> 1);
  return window;
}

Deno.test("a window begins small, doubles while its reader keeps up, and stops at the largest", () => {
  const budget = new WindowBudget();
  assert.equal(grow(budget, 0), FIRST_WINDOW);
  assert.equal(grow(budget, 1), 2 * FIRST_WINDOW);
  assert.equal(grow(budget, 20), LARGEST_WINDOW);
});

Deno.test("2,048 channels, however their readers behave, have no more than 64 MiB", () => {
  const budget = new WindowBudget();
  const windows = Array.from({ length: 2048 }, () => budget.first());
  for (let round = 0; round < 5; round++) {
    for (const [i, window] of windows.entries()) windows[i] = grow(budget, 1, window);
    assert.ok(budget.used <= 64 * MIB, `${budget.used}`);
  }
  for (const window of windows) budget.giveBack(window);
  assert.equal(budget.used, 0);
});

Deno.test("who has much gives back when room is short, and nobody falls below the first window", () => {
  const budget = new WindowBudget(8 * MIB);
  const large = [0, 1, 2, 3].map(() => grow(budget, 20));
  assert.ok(budget.used > 5 * MIB);
  const after = large[0]! + budget.change(large[0]!, large[0]! >> 1);
  assert.equal(after, large[0]! >> 1);
  const small = new WindowBudget(FIRST_WINDOW);
  assert.equal(small.change(small.first(), FIRST_WINDOW), 0);
});

Deno.test("the sum is right whatever happens, and a window shrinks by no more than what is free", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(30), fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 300 }),
    (steps) => {
      const budget = new WindowBudget(4 * MIB);
      const windows = Array.from({ length: 31 }, () => budget.first());
      for (const [i, part] of steps) {
        const taken = Math.floor(windows[i]! * part);
        const change = budget.change(windows[i]!, taken);
        assert.ok(taken + change >= 0);
        windows[i]! += change;
        assert.ok(windows[i]! >= FIRST_WINDOW && windows[i]! <= LARGEST_WINDOW);
      }
      assert.equal(budget.used, windows.reduce((sum, window) => sum + window));
      assert.ok(budget.used <= 4 * MIB);
    },
  ));
});
