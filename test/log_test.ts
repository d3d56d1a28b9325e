import assert from "node:assert/strict";
import { configureLogs, hideSecret, logger, redact, withoutUserinfo } from "../src/log.ts";

function logged(format: "text" | "json", write: () => void, level: "info" | "warn" = "info") {
  const lines: string[] = [];
  configureLogs({ level, format, write: (line) => lines.push(line) });
  try {
    write();
  } finally {
    configureLogs({ level: "error", format: "text", write: () => {} });
  }
  return lines;
}

Deno.test("a text line has time, level, room and message, and is one line whatever is in it", () => {
  const [line] = logged("text", () => logger("link").warn("peer said {text}", { text: "a\nb" }));
  assert.match(line!, /^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}link: peer said a b\n$/);
});

Deno.test("a JSON line is one object with the message's parts", () => {
  const [line] = logged("json", () => logger("relay").info("gateway {id} is up", { id: "g" }));
  const { time, ...rest } = JSON.parse(line!);
  assert.ok(Date.parse(time) > 0);
  assert.deepEqual(rest, { level: "info", room: "relay", message: "gateway g is up", id: "g" });
});

Deno.test("a part of a message that is called as the line's own fields are replaces none of them", () => {
  const parts = { message: "why", level: "high", time: "late" };
  const [line] = logged("json", () => logger("link").info("lost: {message}", parts));
  const { message, level, time } = JSON.parse(line!);
  assert.deepEqual([message, level, time === "late"], ["lost: why", "info", false]);
});

Deno.test("levels below the one that is asked for are not written", () => {
  const lines = logged("text", () => {
    logger("link").info("a");
    logger("link").warn("b");
  }, "warn");
  assert.equal(lines.length, 1);
});

Deno.test("secrets that were read, and what looks like one, are cut out", () => {
  hideSecret("s3cr3t-of-this-test");
  const [line] = logged("text", () => {
    logger("enroll").info("refused: {text}", { text: "token s3cr3t-of-this-test is bad" });
  });
  assert.match(line!, /token \[secret\] is bad/);
  const key = "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----";
  for (const text of [`key ${key}`, "Authorization: Bearer abcdefgh.ijk", "http://u:pass@proxy/"]) {
    assert.doesNotMatch(redact(text), /MIIabc|abcdefgh|pass@/, text);
  }
  assert.equal(redact("nothing to hide"), "nothing to hide");
});

Deno.test("a password in an address is cut out, however badly it is written", () => {
  for (
    const address of [
      "http://u:s3cr3t@proxy:3128/",
      "http://:s3cr3t@proxy/",
      "http://u:s3cr3t@more@proxy/",
      "http://u:s3/cr3t@proxy/",
      "http://u:s3:cr3t?@proxy",
      "socks5h://u:s3cr3t@proxy",
    ]
  ) {
    for (const said of [redact(`through ${address} now`), withoutUserinfo(address)]) {
      assert.doesNotMatch(said, /s3|cr3t|more/, said);
      assert.match(said, /@proxy/);
    }
  }
  assert.equal(withoutUserinfo("u:s3cr3t@host"), "[secret]@host");
  for (const plain of ["https://host:8443/api", "host:8443", "mail a@b.c at https://host:1/x"]) {
    assert.equal(redact(plain), plain);
  }
});

Deno.test("of many secrets that were read, the newest are cut out, and memory stays bounded", () => {
  for (let i = 0; i < 1_000; i++) hideSecret(`rotated-secret-${i}`);
  assert.equal(redact("rotated-secret-999"), "[secret]");
  assert.equal(redact("rotated-secret-100"), "rotated-secret-100");
});
