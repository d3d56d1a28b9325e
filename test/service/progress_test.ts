import assert from "node:assert/strict";
import { LONGEST_ATTEMPT, Progress } from "../../src/service/progress.ts";

const KEEPALIVE = { interval: 10_000, timeout: 10_000 };

Deno.test("a link that is up makes progress as long as its relay is heard of", () => {
  const progress = new Progress(KEEPALIVE, 0);
  progress.changed("up", 0);
  for (let minute = 0; minute < 60; minute++) {
    assert.ok(progress.isMade(1000 + minute, minute * 60_000 + 1));
  }
  const last = 59 * 60_000 + 1;
  assert.ok(progress.isMade(1059, last + 40_000));
  assert.ok(!progress.isMade(1059, last + 40_001));
  // Heartbeats and renewals go on beside a session that nobody looks after.
  progress.changed("up", last + 40_002);
  assert.ok(!progress.isMade(1059, last + 40_003));
  assert.ok(progress.isMade(1060, last + 40_004));
});

Deno.test("a link that is down makes progress as long as it tries", () => {
  const progress = new Progress(KEEPALIVE, 0);
  let now = 0;
  for (let attempt = 0; attempt < 100; attempt++) {
    progress.changed("connecting", now += 30_000);
    progress.changed("down", now += 30_000);
    assert.ok(progress.isMade(0, now + 60_000));
  }
  assert.ok(progress.isMade(0, now + LONGEST_ATTEMPT));
  assert.ok(!progress.isMade(0, now + LONGEST_ATTEMPT + 1));
});

Deno.test("a drain takes the time that it is given", () => {
  const progress = new Progress(KEEPALIVE, 0);
  progress.changed("draining", 0);
  assert.ok(progress.isMade(0, 24 * 3_600_000));
});
