/** Turns for strangers' work, on a clock of the test's own. */
import assert from "node:assert/strict";
import { Pace } from "../../src/relay/pace.ts";

/** A thread of which the test says how long work takes. */
class Thread {
  time = 0;
  /** What was done, and when. */
  done: string[] = [];
  #timers: { at: number; then: () => void }[] = [];
  readonly pace = new Pace(() => this.time, (ms, then) => {
    this.#timers.push({ at: this.time + ms, then });
  });

  ask(source: string, name: string, takes: number): boolean {
    return this.pace.run(source, () => {
      this.done.push(`${name}@${this.time}`);
      this.time += takes;
    });
  }

  /** Lets all rests end, one after another. */
  settle(): void {
    for (let timer; (timer = this.#timers.shift()) !== undefined;) {
      this.time = Math.max(this.time, timer.at);
      timer.then();
    }
  }
}

Deno.test("light work is done at once", () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) {
    assert.equal(thread.ask("a", "x", 1), true);
    thread.time += 4;
  }
});

Deno.test("a heap of costly work leaves the thread three quarters of the time", () => {
  const thread = new Thread();
  for (let i = 0; i < 10; i++) thread.ask("attacker", `k${i}`, 30);
  assert.deepEqual(thread.done, ["k0@0"]);
  thread.settle();
  assert.deepEqual(thread.done, Array.from({ length: 10 }, (_, i) => `k${i}@${120 * i}`));
});

Deno.test("an attacker's heap of work keeps another address waiting for one turn", () => {
  const thread = new Thread();
  for (let i = 0; i < 50; i++) thread.ask("attacker", `k${i}`, 30);
  assert.equal(thread.ask("honest", "login", 2), false);
  thread.settle();
  assert.equal(thread.done.findIndex((line) => line.startsWith("login")), 2);
});

Deno.test("after a rest with nothing to do work is done at once again", () => {
  const thread = new Thread();
  thread.ask("a", "x", 30);
  assert.equal(thread.ask("a", "y", 30), false);
  thread.settle();
  thread.time += 100;
  assert.equal(thread.ask("a", "z", 1), true);
});
