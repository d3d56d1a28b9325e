import type { LogLevel, LogRecord } from "@logtape/logtape";
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { spawnSync } from "node:child_process";
import { lineWriter } from "../src/log_line.ts";
import { isJournal, styleOfStandardError, wantsColour } from "../src/log_standard_error.ts";
import { ROOT } from "./requirements.ts";
import { temporaryFolder } from "./temporary.ts";

function record(level: LogLevel, ...message: unknown[]): LogRecord {
  const category = ["sallyport", "link"];
  return { category, level, message, rawMessage: "", properties: {}, timestamp: 0 };
}

const LEVELS = [["debug", 7], ["info", 6], ["warning", 4], ["error", 3], ["fatal", 2]] as const;

Deno.test("a line for the journal begins with its severity and leaves the time to it", () => {
  for (const [level, severity] of LEVELS) {
    const line = lineWriter("text", { journal: true })(record(level, "up"));
    assert.equal(line, `<${severity}>link: up\n`);
    assert.match(lineWriter("json", { journal: true })(record(level, "up")), /^<\d>\{.*\}\n$/);
  }
});

Deno.test("colour is only around what is ours, and a line without it has no escape at all", () => {
  const line = lineWriter("text", { colour: true })(record("error", "it broke"));
  const [time, level, room, end] = line.split("\x1b[0m");
  assert.equal(time, "\x1b[2m1970-01-01T00:00:00.000Z");
  assert.deepEqual([level, room, end], [" \x1b[31mERROR", " \x1b[2mlink:", " it broke\n"]);
  for (const format of ["text", "json"] as const) {
    assert.ok(!lineWriter(format)(record("error", "it broke")).includes("\x1b"));
  }
});

Deno.test("what a peer says neither forges a line nor commands the terminal", () => {
  const said = "a\r\nERROR b\x1b]0;title\x07\u2028c\x9bd";
  for (const style of [{}, { journal: true }, { colour: true }]) {
    const line = lineWriter("text", style)(record("info", "said ", said, ""));
    assert.match(line, /said a ERROR b ]0;title c d\n$/);
  }
  assert.equal(lineWriter("json")(record("info", "said ", said, "")).split("\n").length, 2);
});

Deno.test("colours are for terminals, and not with NO_COLOR", () => {
  assert.equal(wantsColour({ isTTY: true }, {}), true);
  assert.equal(wantsColour({ isTTY: true }, { NO_COLOR: "" }), true, "empty is as good as none");
  assert.equal(wantsColour({ isTTY: true }, { NO_COLOR: "1" }), false);
  assert.equal(wantsColour({ isTTY: true }, { TERM: "dumb" }), false);
  assert.equal(wantsColour({ isTTY: false }, {}), false);
  assert.equal(wantsColour({}, {}), false);
});

Deno.test("a JOURNAL_STREAM of something else than standard error is none", () => {
  for (const stream of [undefined, "", "1:1", "nonsense"]) {
    assert.equal(isJournal({ JOURNAL_STREAM: stream }), false);
  }
  assert.deepEqual(styleOfStandardError({ NO_COLOR: "1" }), { colour: false });
});

Deno.test({
  name: "the program writes severities where JOURNAL_STREAM is its standard error, and only there",
  ignore: process.platform === "win32",
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "journal");
    const run = (stream: (file: string) => string) => {
      const file = openSync(path, "w");
      try {
        const args = ["run", "--quiet", "--allow-all", "src/main.ts", "gateway", "start", "e"];
        spawnSync(Deno.execPath(), [...args, "--token", "@/no/such/file", "--domain", "http://a"], {
          cwd: ROOT,
          stdio: ["ignore", "ignore", file],
          env: { ...process.env, JOURNAL_STREAM: stream(path), SALLYPORT_HEALTH_LISTEN: "off" },
        });
      } finally {
        closeSync(file);
      }
      return readFileSync(path, "utf8");
    };
    const connected = run((file) => {
      const { dev, ino } = statSync(file, { bigint: true });
      return `${dev}:${ino}`;
    });
    assert.match(connected, /^<4>link: .*plain http/m);
    assert.match(connected, /^<3>sallyport: .*no such file/m);
    assert.doesNotMatch(run(() => "8:1"), /^</m);
  },
});
