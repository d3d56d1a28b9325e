/** The audit file: what stands in it, whatever happens to a connection and to the disk. */
import assert from "node:assert/strict";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import process from "node:process";
import { AuditFile, type AuditOptions } from "../../src/channel/audit.ts";
import { captureLog } from "../captured_log.ts";
import { temporaryFolder } from "../temporary.ts";
import { heard, PLATFORM, policy, serve, target, teller, USER } from "./served.ts";

const HOST = "127.0.49.4";
const CONNECTION = {
  connection: "c",
  mode: "tcp",
  target: "db:1",
  actor: { type: "user", id: "u" },
  serial: "0a",
} as const;
const END = { bytesIn: 1, bytesOut: 2, ms: 3, reason: "ended" };

async function auditIn(options: Partial<AuditOptions> = {}) {
  const folder = await temporaryFolder();
  const path = `${folder.path}/audit.jsonl`;
  const audit = new AuditFile({ path, size: 1e6, keep: 3, ...options });
  return {
    path,
    audit,
    lines: async (file = path) => {
      const text = await readFile(file, "utf8");
      // deno-lint-ignore no-explicit-any
      return text.split("\n").filter(Boolean).map((line) => JSON.parse(line) as any);
    },
    async [Symbol.asyncDispose]() {
      audit.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a connection has one line when it opens and one when it closes, with who, where and how much", async () => {
  await using there = await auditIn({ now: () => 0 });
  await using echo = await target(HOST, (socket) => void socket.pipe(socket));
  await using served = serve({ audit: there.audit });
  const at = { host: HOST, port: echo.port };
  assert.equal(await served.ask("hello", { at, serial: "0abc" }), "hello");
  await served.server.drain();
  const [open, close, ...more] = await there.lines();
  assert.deepEqual(more, []);
  const { connection, ...said } = open;
  assert.match(connection, /^[0-9a-f-]{36}$/);
  assert.deepEqual(said, {
    time: "1970-01-01T00:00:00.000Z",
    event: "open",
    mode: "tcp",
    target: `${HOST}:${echo.port}`,
    actor: USER,
    serial: "0abc",
  });
  const { ms, ...end } = close;
  assert.equal(typeof ms, "number");
  assert.deepEqual(end, {
    ...open,
    event: "close",
    bytesIn: 5,
    bytesOut: 5,
    reason: "ended",
    connected: [`${HOST}:${echo.port}`],
  });
});

Deno.test("a refused target and a broken stream are on record, with their reasons and bytes", async () => {
  await using there = await auditIn();
  await using slow = await target(HOST, (socket) => {
    socket.once("data", () => socket.write("half an answer", () => socket.resetAndDestroy()));
  });
  await using served = serve({ audit: there.audit, policy: policy("", "127.0.49.5") });
  await served.ask("hello", { at: { host: "127.0.49.5", port: 1 } });
  const tls = await served.open({ at: { host: HOST, port: slow.port } });
  tls.write("question");
  await heard(tls);
  await served.server.drain();
  const closes = (await there.lines()).filter(({ event }) => event === "close");
  assert.deepEqual(
    closes.map(({ reason, refused, connected }) => ({ reason, refused, connected })),
    [
      { reason: "target-denied", refused: ["127.0.49.5:1"], connected: undefined },
      { reason: "internal", refused: undefined, connected: [`${HOST}:${slow.port}`] },
    ],
  );
  assert.equal(closes[1].bytesIn, 8);
});

Deno.test("every mode is on record, and who asked is in every line of the log", async () => {
  using log = captureLog("debug");
  await using there = await auditIn();
  await using good = await teller(HOST);
  await using served = serve({ audit: there.audit });
  const at = { host: HOST, port: good.port };
  for (const mode of ["ping", "health", "tcp-proxy", "http-proxy"]) {
    await served.ask("CONFIG\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {
      at,
      alpn: `infisical-${mode}`,
      by: PLATFORM,
      serial: "0a1b",
    });
  }
  await served.server.drain();
  const lines = await there.lines();
  assert.deepEqual(
    lines.map(({ event, mode, actor, serial }) => [event, mode, actor.type, serial].join(" ")),
    ["ping", "health", "tcp", "http"].flatMap((mode) =>
      ["open", "close"].map((event) => `${event} ${mode} platform 0a1b`)
    ),
  );
  const told = log.lines.filter((line) => /channel \d+ (open|closed)/.test(line));
  assert.equal(told.length, 8);
  for (const line of told) assert.match(line, /for platform/);
});

Deno.test("what a certificate says of an actor forges no line, in the file or in the log", async () => {
  using log = captureLog("info");
  await using there = await auditIn();
  await using good = await teller(HOST);
  await using served = serve({ audit: there.audit });
  const by = { type: "user", id: 'x\n{"event":"open"}\u001b[2J\u0085' };
  await served.ask("hello", { at: { host: HOST, port: good.port }, by });
  await served.server.drain();
  const lines = await there.lines();
  assert.equal(lines.length, 2);
  assert.equal(lines[0].actor.id, by.id);
  for (const line of log.lines) assert.doesNotMatch(line, /\p{Cc}/u);
});

Deno.test("nobody is served whose connection cannot be put on record", async () => {
  using log = captureLog("warn");
  await using good = await teller(HOST);
  const full = () => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  await using served = serve({ audit: { opened: full, closed: () => {} } });
  assert.equal(await served.ask("hello", { at: { host: HOST, port: good.port } }), "");
  assert.equal(good.asked, 0);
  await log.line(/channel 1 failed: ENOSPC/);
});

Deno.test("the file is appended to, also after a restart and behind a torn line", async () => {
  await using there = await auditIn();
  there.audit.opened(CONNECTION);
  there.audit.close();
  await writeFile(there.path, '{"event":"ope', { flag: "a" });
  const again = new AuditFile({ path: there.path, size: 1e6, keep: 3 });
  again.opened({ ...CONNECTION, connection: "d" });
  again.closed({ ...CONNECTION, connection: "d" }, END);
  again.close();
  const lines = (await readFile(there.path, "utf8")).split("\n");
  assert.equal(lines.length, 5);
  assert.equal(lines[1], '{"event":"ope');
  assert.deepEqual(
    [lines[0], lines[2], lines[3]].map((line) => JSON.parse(line!).connection),
    ["c", "d", "d"],
  );
});

Deno.test("a full file is renamed, so many are kept, and no line is lost or cut in between", async () => {
  await using there = await auditIn({ size: 500, keep: 2 });
  for (let i = 0; i < 12; i++) there.audit.opened({ ...CONNECTION, connection: String(i) });
  const files = [`${there.path}.2`, `${there.path}.1`, there.path];
  const lines = (await Promise.all(files.map((file) => there.lines(file)))).flat();
  assert.deepEqual(
    lines.map(({ connection }) => Number(connection)),
    Array.from({ length: lines.length }, (_, i) => 12 - lines.length + i),
  );
  for (const file of files) assert.ok((await stat(file)).size <= 500);
  await assert.rejects(stat(`${there.path}.3`));
});

Deno.test(
  { name: "the file is its owner's alone", ignore: process.platform === "win32" },
  async () => {
    await using there = await auditIn();
    assert.equal((await stat(there.path)).mode & 0o777, 0o600);
  },
);

Deno.test("a file that cannot be opened is told at the start, with its path and what to do", async () => {
  await using folder = await temporaryFolder();
  await chmod(folder.path, 0o700);
  const path = `${folder.path}/missing/audit.jsonl`;
  assert.throws(() => new AuditFile({ path, size: 1, keep: 1 }), {
    code: "audit",
    exitCode: 6,
    message: /missing\/audit\.jsonl: ENOENT/,
  });
});

Deno.test("an end that cannot be written is told in the log and breaks nothing", async () => {
  using log = captureLog("error");
  await using there = await auditIn();
  there.audit.close();
  there.audit.closed(CONNECTION, END);
  await log.line(/the end of connection c is not on record/);
  assert.throws(() => there.audit.opened(CONNECTION), { code: "audit" });
});

Deno.test("a refusal that is repeated is told once for each actor, and is on record each time", async () => {
  using log = captureLog("info");
  await using there = await auditIn();
  await using served = serve({ audit: there.audit, policy: policy("", HOST) });
  const at = { host: HOST, port: 9 };
  for (const id of ["u-1", "u-1", "u-1", "u-2"]) {
    await served.ask("", { at, by: { type: "user", id } });
  }
  await served.server.drain();
  const told = log.lines.filter((line) => line.includes("is refused by --deny"));
  assert.deepEqual(told.map((line) => /user u-\d/.exec(line)?.[0]), ["user u-1", "user u-2"]);
  const closes = (await there.lines()).filter(({ event }) => event === "close");
  assert.deepEqual(closes.map(({ refused }) => refused), Array(4).fill([`${HOST}:9`]));
  assert.equal(served.server.counts.refused, 4);
});
