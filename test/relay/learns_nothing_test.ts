/**
 * A curious relay: both of its legs are tapped, and what it has in hand between its own two layers of
 * encryption is copied, while known content goes through. Then single layers are taken away, and the
 * same search finds the content exactly where that layer was all that covered it.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { OID, readX509Pem } from "../../src/certificates/x509.ts";
import { configLine } from "../../src/client/connect.ts";
import { listen, type ListenAddress } from "../../src/listen.ts";
import { captureLog } from "../captured_log.ts";
import { KnownContent } from "../known_content.ts";
import { type Difference, TappedSystem } from "./layers.ts";

const TARGET = "127.0.71.9";
const SIZE = 192 * 1024;
const TCP = "infisical-tcp-proxy";
const HTTP = "infisical-http-proxy";

/** Everything in a transfer that is nobody's business. */
class Secrets {
  readonly request = new KnownContent(SIZE);
  readonly answer = new KnownContent(SIZE);
  readonly header = `Bearer ${randomBytes(18).toString("base64url")}`;
  readonly path = `/ledger/${randomBytes(9).toString("base64url")}`;
  readonly actor = `ada-${randomBytes(6).toString("hex")}`;

  /** Which of them are in `heard`, any sixteen bytes of the contents included. */
  in(heard: Buffer): string[] {
    const texts = { header: this.header, path: this.path, actor: this.actor, target: TARGET };
    return [
      ...(this.request.findIn(heard) >= 0 ? ["request"] : []),
      ...(this.answer.findIn(heard) >= 0 ? ["answer"] : []),
      ...Object.entries(texts).filter(([, text]) => heard.includes(text)).map(([name]) => name),
    ];
  }
}

/** The private service: it checks what it is sent, and answers with content of its own. */
async function service(secrets: Secrets) {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const good = Buffer.concat(parts).equals(secrets.request.bytes) &&
      request.headers.authorization === secrets.header && request.url === secrets.path;
    response.writeHead(good ? 200 : 400, { "content-length": SIZE });
    response.end(secrets.answer.bytes);
  });
  const address = await listen(server, { host: TARGET, port: 0 }, "a test");
  return {
    address,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Sends the request and reads the answer to its end. */
async function transfer(stream: Duplex, { port }: ListenAddress, secrets: Secrets): Promise<void> {
  const head = [
    `POST ${secrets.path} HTTP/1.1`,
    `Host: ${TARGET}:${port}`,
    `Authorization: ${secrets.header}`,
    `Content-Length: ${SIZE}`,
    ...["", ""],
  ].join("\r\n");
  const parts: Buffer[] = [];
  const whole = new Promise<void>((resolve, reject) => {
    stream.on("data", (part: Buffer) => {
      parts.push(part);
      if (bodyOf(parts).length === SIZE) resolve();
    });
    stream.once("close", () => reject(new Error("closed before the answer was complete")));
  });
  stream.write(head);
  stream.write(secrets.request.bytes);
  await whole;
  const all = Buffer.concat(parts);
  assert.match(all.toString("latin1", 0, 15), /^HTTP\/1\.1 200/);
  assert.ok(bodyOf(parts).equals(secrets.answer.bytes));
  const closed = once(stream, "close");
  stream.end();
  await closed;
}

/** What comes after the head of an answer. */
function bodyOf(parts: Buffer[]): Buffer {
  const all = Buffer.concat(parts);
  const head = all.indexOf("\r\n\r\n");
  return head < 0 ? Buffer.of() : all.subarray(head + 4);
}

/** A transfer in each of the modes; gives what of it is found where. */
async function overhear(secrets: Secrets, difference: Difference, modes = [TCP]) {
  await using target = await service(secrets);
  const parties = { gateway: "edge", actor: secrets.actor, target: target.address };
  await using tapped = await TappedSystem.start(parties, difference);
  for (const mode of modes) {
    const stream = await tapped.open(mode);
    if (mode === HTTP) stream.write(configLine({}));
    await transfer(stream, target.address, secrets);
  }
  const { heard, grant } = tapped;
  for (const bytes of Object.values(heard)) {
    assert.ok(bytes.length > 2 * SIZE * modes.length, "the ears have missed something");
  }
  const found = Object.entries(heard).map(([place, bytes]) => [place, secrets.in(bytes)] as const);
  return { found: Object.fromEntries(found), heard, grant };
}

const NOWHERE = { "the client's leg": [], "inside the relay": [], "the gateway's leg": [] };
/** Without TLS inside there is no certificate there either, which names an actor. */
const ALL = ["request", "answer", "header", "path", "target"];

Deno.test("a curious relay taps both its legs and itself, and has nothing of what goes through", async () => {
  using log = captureLog("debug");
  const secrets = new Secrets();
  const { found, heard, grant } = await overhear(secrets, { without: [] }, [TCP, HTTP]);
  assert.deepEqual(found, NOWHERE);
  const lines = log.lines.filter((line) => / relay: /.test(line));
  assert.deepEqual(secrets.in(Buffer.from(lines.join("\n"))), []);

  // What it does learn: which gateway, who as a number, which mode, from where, how much and how long.
  const { subject, serial, extensions } = readX509Pem(grant.relay.clientCertificate);
  assert.equal(subject.commonName, grant.gatewayId);
  assert.deepEqual(Object.keys(JSON.parse(String(extensions.get(OID.actor)))), ["id"]);
  assert.ok(serial);
  for (const mode of [TCP, HTTP]) assert.ok(heard["inside the relay"].includes(mode));
  const opened = lines.filter((line) => line.includes(`to gateway ${grant.gatewayId}`));
  const counts = lines.map((line) => /closed: (\d+) bytes in, (\d+) out, \d+ ms/.exec(line));
  const passed = counts.reduce((sum, c) => sum + Number(c?.[1] ?? 0) + Number(c?.[2] ?? 0), 0);
  assert.equal(opened.length, 2);
  // Every byte that the relay counted was heard.
  assert.equal(heard["inside the relay"].length, passed);
});

/** What each layer is good for: the same search, with that layer taken away. */
const WITHOUT: { what: string; difference: Difference; found: Record<string, string[]> }[] = [
  {
    what: "the client's TLS to the relay",
    difference: { without: ["outer TLS"] },
    found: NOWHERE,
  },
  {
    what: "SSH between gateway and relay",
    difference: { without: ["SSH"] },
    found: NOWHERE,
  },
  {
    what: "the TLS inside, and the relay reads everything",
    difference: { without: ["inner TLS"] },
    found: { ...NOWHERE, "inside the relay": ALL },
  },
  {
    what: "both TLS, and the client's network reads as well",
    difference: { without: ["inner TLS", "outer TLS"] },
    found: { ...NOWHERE, "inside the relay": ALL, "the client's leg": ALL },
  },
  {
    what: "the TLS inside and SSH, and the gateway's network reads as well",
    difference: { without: ["inner TLS", "SSH"] },
    found: { ...NOWHERE, "inside the relay": ALL, "the gateway's leg": ALL },
  },
  {
    what: "TLS 1.3 inside, and the relay reads who asks for what, but nothing of it",
    difference: { without: [], oldClient: true },
    found: { ...NOWHERE, "inside the relay": ["actor", "target"] },
  },
];

for (const { what, difference, found } of WITHOUT) {
  Deno.test(`a curious relay in a system without ${what}`, async () => {
    assert.deepEqual((await overhear(new Secrets(), difference)).found, found);
  });
}

Deno.test("our client tells no gateway of TLS 1.2 who it is, for the relay would read it", async () => {
  const secrets = new Secrets();
  await using target = await service(secrets);
  const parties = { gateway: "edge", actor: secrets.actor, target: target.address };
  await using tapped = await TappedSystem.start(parties, { without: [], oldGateway: true });
  const refused: unknown = await tapped.open(TCP).catch((error) => error);
  const { "inside the relay": inside } = tapped.heard;
  assert.ok(inside.includes(TCP), "its first words went through");
  assert.deepEqual(secrets.in(inside), []);
  assert.equal((refused as { code?: string }).code, "mtls-handshake");
});
