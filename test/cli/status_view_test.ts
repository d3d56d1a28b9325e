import assert from "node:assert/strict";
import { formatBytes } from "../../src/cli/status_text.ts";
import { sparkline, viewLines } from "../../src/cli/status_view.ts";

const NOW = Date.UTC(2030, 0, 1);
const sample = (secondsAgo: number, rate: number) => ({
  at: new Date(NOW - secondsAgo * 1000).toISOString(),
  in: rate,
  out: 0,
});

Deno.test("a plot has a bar for the largest rate of each part, and a gap where nothing passed", () => {
  // Ninety seconds a part.
  const samples = [sample(890, 800), sample(100, 100), sample(95, 400), sample(5, 1)];
  const { bars, top } = sparkline(samples, "in", 10, NOW);
  assert.deepEqual([bars, top], ["█       ▄▁", 800]);
  assert.deepEqual(sparkline(samples, "out", 3, NOW), { bars: "   ", top: 0 });
  assert.equal(sparkline([sample(901, 5), sample(-1, 5)], "in", 3, NOW).bars, "   ");
});

Deno.test("bytes are told in three digits at most", () => {
  const told = [0, 1, 999, 1000, 9949, 9950, 999_499, 999_500, 1e7, 1e15, 1e18].map(formatBytes);
  assert.deepEqual(told, [
    ...["0 B", "1 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "10 MB"],
    ...["1000 TB", "1000000 TB"],
  ]);
});

Deno.test("before the first answer the view says so, and a small terminal gets what fits", () => {
  const nothing = { health: undefined, silence: undefined, rate: undefined };
  const options = { columns: 10, rows: 3, colour: false };
  assert.deepEqual(viewLines(nothing, options), ["● asking", ""]);
  const silent = { ...nothing, silence: "no gateway answers at 127.0.0.1:8222" };
  assert.deepEqual(viewLines(silent, options), ["● no gate…", ""]);
});
