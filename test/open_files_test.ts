import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { affordableConnections, connectionLimit } from "../src/open_files.ts";
import { captureLog } from "./captured_log.ts";

/** A process that may open so many files more. */
function opener(most: number, code = "EMFILE") {
  let opened = 0;
  return () => {
    if (opened++ === most) throw Object.assign(new Error(code), { code });
    return openSync(devNull, "r");
  };
}

Deno.test("a connection takes two files, some are kept for the rest, and there are no more than wanted", () => {
  assert.equal(affordableConnections(100, opener(1_000)), 100);
  assert.equal(affordableConnections(100, opener(232)), 100);
  assert.equal(affordableConnections(100, opener(231)), 99);
  assert.equal(affordableConnections(100, opener(10)), 0);
  assert.equal(affordableConnections(100, opener(5, "EACCES")), 100);
});

Deno.test("trying it out leaves no file open", () => {
  const next = () => {
    const file = openSync(devNull, "r");
    closeSync(file);
    return file;
  };
  const before = next();
  affordableConnections(500);
  affordableConnections(500, opener(300));
  assert.equal(next(), before);
});

Deno.test("a limit is tried out when it first matters, counts what is there, and is said once", async () => {
  using log = captureLog("warn");
  let tries = 0;
  const limited = opener(300);
  const limit = connectionLimit(1_000, "streams", () => {
    tries++;
    return limited();
  });
  assert.equal(limit(0), 1_000);
  assert.equal(limit(63), 1_000);
  assert.equal(tries, 0);
  assert.equal(limit(64), 134);
  const needed = tries;
  assert.equal(limit(0), 134);
  assert.equal(limit(134), 134);
  assert.equal(tries, needed);
  await log.line(/134 streams at a time instead of 1000: .* \(ulimit -n, LimitNOFILE\)/);
  assert.equal(log.lines.length, 1);
  assert.equal(connectionLimit(100, "streams", opener(0))(100), 100);
});
