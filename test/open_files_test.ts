import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { affordableConnections } from "../src/open_files.ts";

/** A process that may open so many files more. */
function opener(most: number, code = "EMFILE") {
  let opened = 0;
  return () => {
    if (opened++ === most) throw Object.assign(new Error(code), { code });
    return openSync(devNull, "r");
  };
}

Deno.test("there are as many connections as half of the files that may be open, and no more than wanted", () => {
  assert.equal(affordableConnections(100, opener(1_000)), 100);
  assert.equal(affordableConnections(100, opener(200)), 100);
  assert.equal(affordableConnections(100, opener(199)), 99);
  assert.equal(affordableConnections(100, opener(0)), 1);
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
