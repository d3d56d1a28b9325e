/** The lab's gateway offers what the real one does: an old list, which our relay accepts and names. */
import assert from "node:assert/strict";
import { captureLog } from "../captured_log.ts";
import { requirement } from "../requirements.ts";
import { labPlatform, startSystem } from "./lab_system.ts";

Deno.test({
  name: "the real gateway's list is accepted by our relay, which says once what is old in it",
  ...requirement("go"),
  async fn() {
    using log = captureLog();
    await using system = await startSystem({
      platform: labPlatform,
      relay: "ours",
      gateway: "lab",
      keys: "rsa",
      host: "127.0.74.1",
    });
    assert.match(await system.bench("ping"), /PONG/);
    const lines = log.lines.filter((line) => line.includes("has an old list"));
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(
      lines[0]!,
      /\(SSH-2\.0-Go\) has an old list, which is accepted: diffie-hellman-group14-sha256, hmac-sha2-256$/,
    );
  },
});
