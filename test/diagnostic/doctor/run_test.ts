/** The runner: order, dependencies, deadlines, what is cut out; and what a person is shown. */
import assert from "node:assert/strict";
import {
  type Check,
  type CheckId,
  fail,
  pass,
  skip,
  warn,
} from "../../../src/diagnostic/doctor/check.ts";
import { CHECKS } from "../../../src/diagnostic/doctor/checks.ts";
import type { DoctorOptions } from "../../../src/diagnostic/doctor/context.ts";
import {
  exitStatus,
  reportJson,
  resultText,
  summaryText,
} from "../../../src/diagnostic/doctor/report.ts";
import { diagnose, type Progress } from "../../../src/diagnostic/doctor/run.ts";
import { SallyportError } from "../../../src/errors.ts";
import { hideSecret } from "../../../src/log.ts";

const OPTIONS: DoctorOptions = {
  name: "edge-1",
  domain: "https://platform.example",
  auth: () => assert.fail("nobody asks"),
  stateDir: "/nonexistent",
  healthListen: "off",
  login: "no",
  env: {},
  timeout: 40,
  services: [],
  host: { run: () => assert.fail("no program is run") },
};

function check(id: CheckId, needs: CheckId[], run: Check["run"]): Check {
  return { id, title: id, needs, run };
}

const run = (checks: Check[], progress: Progress = {}) =>
  diagnose(OPTIONS, { checks, ...progress });

Deno.test("each check comes after what it needs, and has an id of its own", () => {
  const seen = new Set<CheckId>();
  for (const { id, needs } of CHECKS) {
    for (const need of needs) assert.ok(seen.has(need), `${id} needs ${need}`);
    assert.ok(!seen.has(id), id);
    seen.add(id);
  }
});

Deno.test("a failure skips what depends on it, names the first cause, and nothing else", async () => {
  const told: string[] = [];
  const results = await run([
    check("proxy", [], () => fail("wrong")),
    check("api", ["proxy"], () => assert.fail("not run")),
    check("clock", ["api"], () => assert.fail("not run")),
    check("files", [], () => warn("odd")),
    check("service", ["files"], () => pass("well")),
  ], { onResult: ({ id, status }) => told.push(`${id} ${status}`) });
  assert.deepEqual(told, ["proxy fail", "api skip", "clock skip", "files warn", "service pass"]);
  assert.equal(results[2]!.finding, 'not tried, because "proxy" failed');
});

Deno.test("what depends on a skipped check is skipped too", async () => {
  const results = await run([
    check("proxy", [], () => skip("not here")),
    check("api", ["proxy"], () => assert.fail("not run")),
  ]);
  assert.equal(results[1]!.finding, 'not tried, because "proxy" could not be tried');
  assert.equal(exitStatus(results), 0);
});

Deno.test("what a check throws is its finding, with its hint and code", async () => {
  const [known, unknown] = await run([
    check("proxy", [], () => {
      throw new SallyportError("config", "bad value", { hint: "mend it" });
    }),
    check("api", [], () => Promise.reject(new TypeError("oops"))),
  ]);
  assert.deepEqual(
    [known!.status, known!.finding, known!.remedy, known!.code],
    ["fail", "bad value", "mend it", "config"],
  );
  assert.deepEqual([unknown!.status, unknown!.finding, unknown!.code], [
    "fail",
    "oops",
    "internal",
  ]);
});

Deno.test("a check that heeds its deadline says why; one that does not is left behind", async () => {
  const [heeds, hangs] = await run([
    check("proxy", [], (_, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve(fail("silent")), { once: true });
      })),
    check("api", [], () => new Promise(() => {})),
  ]);
  assert.equal(heeds!.finding, "silent");
  assert.deepEqual([hangs!.finding, hangs!.code], ["no answer within 40 ms", "timeout"]);
});

Deno.test("an interrupt ends the check under way and skips the rest", async () => {
  const stop = new AbortController();
  const results = await run([
    check("proxy", [], (_, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        stop.abort();
      })),
    check("api", [], () => assert.fail("not run")),
  ], { signal: stop.signal });
  assert.deepEqual(results.map(({ status }) => status), ["skip", "skip"]);
  assert.match(results[1]!.finding, /interrupted/);
});

Deno.test("what checks own is closed at the end, the last first", async () => {
  const closed: string[] = [];
  await run([
    check("proxy", [], ({ owned }) => {
      owned.defer(() => void closed.push("first"));
      owned.defer(() => void closed.push("last"));
      return pass("open");
    }),
  ]);
  assert.deepEqual(closed, ["last", "first"]);
});

Deno.test("secrets are cut out, and no peer forges a line", async () => {
  hideSecret('a-"quoted"-secret');
  const [found] = await run([
    check("api", [], () => fail('said a-"quoted"-secret\n✓ pass\x1b[2J', "Bearer abcdefghijkl")),
  ]);
  assert.equal(found!.finding, "said [secret] ✓ pass [2J");
  assert.equal(found!.remedy, "Bearer [secret]");
  const json = reportJson([found!], { gateway: "edge-1", domain: "https://p.example" });
  assert.ok(!json.includes("quoted"));
});

const RESULT = {
  id: "relay-port" as const,
  title: "relay port",
  status: "fail" as const,
  finding: "r.example:2222 refuses",
  remedy: "start it",
  ms: 12,
};

Deno.test("a line has mark, word, title, finding and time; the remedy stands below", () => {
  assert.equal(
    resultText(RESULT, { colour: false, symbols: true }),
    "✗ fail  relay port         r.example:2222 refuses (12 ms)\n        → start it",
  );
  assert.equal(
    resultText({ ...RESULT, status: "pass", remedy: undefined }, { colour: true, symbols: true }),
    "\x1b[32m✓ pass\x1b[0m  relay port         r.example:2222 refuses (12 ms)",
  );
});

Deno.test("without UTF-8 the words are enough, and every byte is ASCII", () => {
  for (const status of ["pass", "warn", "fail", "skip"] as const) {
    const text = resultText({ ...RESULT, status }, { colour: false, symbols: false });
    assert.match(text, new RegExp(`^${status}  relay port `));
    assert.match(text, /^[\x20-\x7e\n]*$/);
  }
});

Deno.test("the summary counts, and only a failure is one to the exit status", () => {
  const of = (...statuses: ("pass" | "warn" | "fail" | "skip")[]) =>
    statuses.map((status) => ({ ...RESULT, status }));
  assert.equal(summaryText(of("pass", "pass")), "2 passed");
  assert.equal(
    summaryText(of("pass", "warn", "fail", "skip")),
    "1 passed, 1 with a warning, 1 failed, 1 not tried",
  );
  assert.equal(exitStatus(of("pass", "warn", "skip")), 0);
  assert.equal(exitStatus(of("pass", "fail")), 1);
  const json = JSON.parse(reportJson(of("fail"), { gateway: "g", domain: "d" }));
  assert.deepEqual([json.ok, json.gateway, json.checks[0].id], [false, "g", "relay-port"]);
});
