import assert from "node:assert/strict";
import { FoldedLog, formatDuration, Repeats } from "../src/folding.ts";
import { logger } from "../src/log.ts";
import { captureLog } from "./captured_log.ts";
import { VirtualClock } from "./virtual_clock.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Lines without their time and level. */
const texts = (lines: string[]) => lines.map((line) => line.replace(/^.*? link: /, ""));

Deno.test("what is repeated is told when it is new, a minute later, and then every ten minutes", () => {
  const repeats = new Repeats();
  const told: [second: number, repeats: number][] = [];
  for (let second = 0; second <= 25 * 60; second++) {
    const now = second * SECOND;
    const repeated = repeats.note("away", now);
    if (repeated) told.push([second, repeated.repeats]);
    if (repeated) assert.equal(repeated.since, 0);
  }
  assert.deepEqual(told, [[0, 0], [60, 60], [660, 660], [1260, 1260]]);
});

Deno.test("kinds are counted each for itself, and what was forgotten is new", () => {
  const repeats = new Repeats();
  assert.deepEqual(repeats.note("a", 0), { repeats: 0, since: 0 });
  assert.equal(repeats.note("a", 1), undefined);
  assert.deepEqual(repeats.note("b", 2), { repeats: 0, since: 2 });
  assert.equal(repeats.note("a", 3), undefined);
  assert.deepEqual(repeats.note("a", MINUTE), { repeats: 3, since: 0 });
  repeats.forget();
  assert.deepEqual(repeats.note("a", MINUTE + 1), { repeats: 0, since: MINUTE + 1 });
});

Deno.test("ever new kinds do not fill the memory: the one not heard of for longest is forgotten", () => {
  const repeats = new Repeats();
  repeats.note("old", 0);
  repeats.note("often", 0);
  for (let i = 0; i < 1000; i++) {
    assert.ok(repeats.note(`kind ${i}`, 1));
    assert.equal(repeats.note("often", 1), undefined);
  }
  assert.deepEqual(repeats.note("old", 2), { repeats: 0, since: 2 });
});

Deno.test("an hour of one failure is a handful of lines, and the recovery says how long it was", async () => {
  const clock = new VirtualClock(Date.UTC(2030, 0, 1, 12));
  const folded = new FoldedLog(logger("link"), clock.now);
  using log = captureLog();
  const fail = (message: string) =>
    folded.failed("warn", "not yet, in {wait} ms: {message}", {
      wait: clock.now() % 977,
      message,
      code: "api-status",
      hint: "wait",
    });
  for (let i = 0; i < 3600; i++) {
    fail(`503 for request ab${i}`);
    await clock.advance(SECOND);
  }
  assert.equal(folded.recovered(), " (after 3600 failures in 1 h)");
  assert.equal(folded.recovered(), "", "said once");
  const lines = texts(log.lines);
  assert.equal(lines.length, 7);
  assert.match(lines[0]!, /^not yet, in \d+ ms: 503 for request ab0; wait$/);
  assert.match(lines[1]!, /ab60; wait \(the same 60 times since 12:00:00\)$/);
  assert.match(lines.at(-1)!, /\(the same 3060 times since 12:00:00\)$/);
});

Deno.test("another failure is told at once, and so is the same one with another code", () => {
  const folded = new FoldedLog(logger("link"), () => 0);
  using log = captureLog();
  for (const code of ["a", "b", "a"]) {
    folded.tell("warn", "lost: {message}", { code, message: "x" });
  }
  folded.tell("warn", "lost: {message}", { code: "a", message: "y" });
  folded.tell("warn", "late: {message}", { code: "a", message: "y" });
  assert.deepEqual(texts(log.lines), ["lost: x", "lost: x", "lost: y", "late: y"]);
});

Deno.test("with the level debug nothing is left out", () => {
  const folded = new FoldedLog(logger("link"), () => 0);
  using log = captureLog("debug");
  for (let i = 0; i < 3; i++) folded.tell("info", "lost: {message}", { message: "x" });
  assert.deepEqual(log.lines.map((line) => line.split(" ")[1]), ["INFO", "DEBUG", "DEBUG"]);
});

Deno.test("the time is said with its date once it is older than a day", async () => {
  const clock = new VirtualClock(Date.UTC(2030, 0, 1, 12));
  const folded = new FoldedLog(logger("link"), clock.now);
  using log = captureLog();
  const tell = () => folded.tell("info", "away", {});
  tell();
  await clock.advance(24 * 60 * MINUTE);
  tell();
  assert.deepEqual(texts(log.lines), ["away", "away (the same 1 time since 2030-01-01 12:00:00)"]);
});

Deno.test("durations are said in two units at most", () => {
  const table: [number, string][] = [
    [-5, "0 ms"],
    [850.4, "850 ms"],
    [59_999, "59 s"],
    [200_000, "3 min 20 s"],
    [3_600_000, "1 h"],
    [18_060_000, "5 h 1 min"],
    [90_000_000, "1 d 1 h"],
  ];
  for (const [ms, text] of table) assert.equal(formatDuration(ms), text);
});

Deno.test("what is about somebody else is told for itself, and nothing shows that in the line", () => {
  const folded = new FoldedLog(logger("link"), () => 0);
  using log = captureLog();
  for (const about of ["one", "two", "one", "two"]) {
    folded.tell("info", "a client asks for {who}", { who: about, about });
  }
  assert.deepEqual(texts(log.lines), ["a client asks for one", "a client asks for two"]);
});
