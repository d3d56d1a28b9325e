/** Channels from the relay's end to a target, through every step of a ChannelServer. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ChannelServer, type ChannelServerOptions } from "../../src/channel/server.ts";
import { dial } from "../../src/egress/dial.ts";
import { captureLog } from "../captured_log.ts";
import { freePort, HOST, type Target, tcpTarget } from "../forward/streams.ts";
import { type Identity, Pki } from "./pki.ts";
import { closed, tlsClient, type Wire, wire } from "./wire.ts";

const pki = await Pki.create("ecdsa");
const foreign = await Pki.create("ecdsa");
const ACTOR = JSON.stringify({ type: "user", id: "u-1" });

/** A client certificate for one target. */
function clientOf(port: number, by = pki): Promise<Identity> {
  const target = JSON.stringify({ targetHost: HOST, targetPort: port });
  return by.client({ target, actor: ACTOR, serial: "0abc" });
}

interface Served extends AsyncDisposable {
  server: ChannelServer;
  /** Opens a channel and gives its far end. */
  open(): Promise<Wire>;
  /** Opens a channel and begins TLS in it. */
  client(identity: Identity | undefined, alpn: string): Promise<{ pair: Wire; tls: TLSSocket }>;
}

/** A server; disposing of it closes it and every channel. */
function serve(options: Partial<ChannelServerOptions> = {}): Served {
  const server = new ChannelServer({ pki: pki.registration, ...options });
  const wires: Wire[] = [];
  const open = async () => {
    const pair = await wire();
    wires.push(pair);
    server.accept(pair.channel);
    return pair;
  };
  return {
    server,
    open,
    async client(identity, alpn) {
      const pair = await open();
      const tls = tlsClient(pair, identity, { ALPNProtocols: [alpn] });
      tls.on("error", () => {});
      return { pair, tls };
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      for (const pair of wires) await pair[Symbol.asyncDispose]();
    },
  };
}

/** What a client hears until its connection is over. */
async function heard(tls: TLSSocket): Promise<string> {
  let all = "";
  tls.on("data", (chunk: Buffer) => all += chunk);
  tls.once("end", () => tls.destroy());
  // Not once(): an error is one way to be over.
  await new Promise<void>((resolve) => tls.once("close", () => resolve()));
  return all;
}

function echo(): Promise<Target> {
  return tcpTarget((socket) => void socket.pipe(socket));
}

async function pong({ client }: Served): Promise<void> {
  const { pair, tls } = await client(await pki.client(), "infisical-ping");
  assert.equal(await heard(tls), "PONG\n");
  pair.far.destroy();
  await closed(pair.channel);
}

/** Resolves when so many channels are left: they are counted a moment after they have closed. */
async function left(server: ChannelServer, count: number): Promise<void> {
  for (let turn = 0; turn < 200 && server.counts.open !== count; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(server.counts.open, count);
}

Deno.test("a channel leads to the target of its certificate; it is counted, and logged with who asked", async () => {
  using log = captureLog("info");
  await using target = await echo();
  await using served = serve();
  const { tls } = await served.client(await clientOf(target.port), "infisical-tcp-proxy");
  const answer = heard(tls);
  tls.end("to the target and back");
  assert.equal(await answer, "to the target and back");
  await left(served.server, 0);
  assert.deepEqual({ ...served.server.counts }, {
    open: 0,
    served: 1,
    failed: 0,
    refused: 0,
    bytesIn: 22,
    bytesOut: 22,
  });
  await log.line(new RegExp(`channel 1 open: tcp to ${HOST}:${target.port} for user u-1`));
  await log.line(/channel 1 closed: 22 bytes in, 22 out/);
});

Deno.test("bytes are counted while a channel is open, and stay counted when it is cut off", async () => {
  await using target = await echo();
  await using served = serve();
  const { tls } = await served.client(await clientOf(target.port), "infisical-tcp-proxy");
  tls.write("on its way");
  await once(tls, "data");
  const { open, bytesIn, bytesOut } = served.server.counts;
  assert.deepEqual({ open, bytesIn, bytesOut }, { open: 1, bytesIn: 10, bytesOut: 10 });
  await served.server.close();
  assert.deepEqual(served.server.counts, {
    open: 0,
    served: 0,
    failed: 1,
    refused: 0,
    bytesIn: 10,
    bytesOut: 10,
  });
});

const refusals: [string, RegExp, (port: number) => Promise<Identity | undefined>, string][] = [
  [
    "of another platform",
    /client certificate refused/,
    (port) => clientOf(port, foreign),
    "infisical-tcp-proxy",
  ],
  [
    "that is missing",
    /client certificate refused|certificate required|no certificates/i,
    () => Promise.resolve(undefined),
    "infisical-tcp-proxy",
  ],
  ["for a protocol that nobody knows", /known protocol/, clientOf, "infisical-pam-ssh"],
  [
    "that names no target",
    /it names no target/,
    () => pki.client({ actor: ACTOR }),
    "infisical-tcp-proxy",
  ],
  [
    "whose target has no port",
    /targetPort is not a port/,
    () => pki.client({ target: JSON.stringify({ targetHost: HOST, targetPort: 0 }) }),
    "infisical-tcp-proxy",
  ],
];
for (const [what, reason, identity, alpn] of refusals) {
  Deno.test(`a client certificate ${what} is refused before a target is asked; the next is served`, async () => {
    using log = captureLog("warn");
    let asked = 0;
    await using target = await tcpTarget(() => asked++);
    await using served = serve();
    const { pair, tls } = await served.client(await identity(target.port), alpn);
    tls.write("must not pass");
    assert.equal(await heard(tls), "");
    await closed(pair.channel);
    await log.line(new RegExp(`channel 1 failed: .*${reason.source}`, reason.flags));
    await pong(served);
    await left(served.server, 0);
    const { failed, served: good } = served.server.counts;
    assert.deepEqual({ failed, good, asked }, { failed: 1, good: 1, asked: 0 });
  });
}

Deno.test("a target that refuses closes the channel, and the log names it", async () => {
  using log = captureLog("warn");
  const port = await freePort();
  await using served = serve();
  const { pair, tls } = await served.client(await clientOf(port), "infisical-tcp-proxy");
  assert.equal(await heard(tls), "");
  await closed(pair.channel);
  await log.line(new RegExp(`channel 1 failed: target ${HOST}:${port}: connection refused`));
  await left(served.server, 0);
  assert.equal(served.server.counts.failed, 1);
});

Deno.test("a handshake that takes too long ends alone", async () => {
  using log = captureLog("debug");
  await using served = serve({ handshakeTimeout: 200 });
  const silent = await served.open();
  const halfway = await served.open();
  halfway.far.write(new Uint8Array([0x16, 3, 1]));
  await pong(served);
  await Promise.all([closed(silent.channel), closed(halfway.channel)]);
  await log.line(/channel 1 failed: .*it took too long/);
  await log.line(/channel 2 failed: .*it took too long/);
  await left(served.server, 0);
  assert.equal(served.server.counts.failed, 2);
});

Deno.test("channels that get nowhere hold no other one up", async () => {
  await using deaf = await tcpTarget((socket) => void socket.pause());
  const asked = Promise.withResolvers<void>();
  await using served = serve({
    dial: async (host, port, options) => {
      if (port === deaf.port) return await dial(host, port, options);
      asked.resolve();
      // A target that never answers.
      await once(options!.signal!, "abort");
      throw options!.signal!.reason;
    },
  });
  await served.open();
  const full = await served.client(await clientOf(deaf.port), "infisical-tcp-proxy");
  await once(full.tls, "secureConnect");
  while (full.tls.write(new Uint8Array(1024 * 1024)));
  await served.client(await clientOf(9), "infisical-tcp-proxy");
  await asked.promise;
  for (let i = 0; i < 5; i++) await pong(served);
  await left(served.server, 3);
  assert.equal(served.server.counts.served, 5);
});

Deno.test("a silent stream is ended after the idle time, one that speaks is not", async () => {
  using log = captureLog("warn");
  await using target = await echo();
  await using served = serve({ idleTimeout: 300 });
  const identity = await clientOf(target.port);
  const silent = await served.client(identity, "infisical-tcp-proxy");
  const speaking = await served.client(identity, "infisical-tcp-proxy");
  const over = closed(silent.pair.channel);
  let going = true;
  over.then(() => going = false);
  while (going) {
    speaking.tls.write("tick");
    await once(speaking.tls, "data");
  }
  await log.line(/failed: no byte for 300 ms/);
  speaking.tls.write("tock");
  await once(speaking.tls, "data");
  await left(served.server, 1);
});

Deno.test("a drain waits for what is open, to its last byte, and ends by itself", async () => {
  const accepted = Promise.withResolvers<Socket>();
  await using target = await tcpTarget(accepted.resolve);
  await using served = serve();
  const { tls } = await served.client(await clientOf(target.port), "infisical-tcp-proxy");
  const answer = heard(tls);
  const socket = await accepted.promise;
  let drained = false;
  const draining = served.server.drain().then(() => drained = true);
  socket.resume();
  tls.end("last question");
  await once(socket, "end");
  assert.equal(drained, false);
  socket.end("last answer");
  assert.equal(await answer, "last answer");
  await draining;
  assert.equal(served.server.counts.open, 0);
  assert.equal(served.server.counts.served, 1);
});

Deno.test("closing ends what is open, whatever it is at, and takes no more", async () => {
  const accepted = Promise.withResolvers<Socket>();
  await using target = await tcpTarget(accepted.resolve);
  await using served = serve();
  const { pair, tls } = await served.client(await clientOf(target.port), "infisical-tcp-proxy");
  const handshaking = await served.open();
  const socket = await accepted.promise;
  const fate = new Promise<string>((resolve) => {
    socket.once("error", (error: Error & { code?: string }) => resolve(error.code ?? ""));
    socket.once("end", () => resolve("an end"));
  });
  socket.resume();
  const over = heard(tls);
  await served.server.close();
  // Cut off in the middle: the target must not take it for an end.
  assert.equal(await fate, "ECONNRESET");
  await over;
  await Promise.all([closed(pair.channel), closed(handshaking.channel)]);
  const late = await served.open();
  await closed(late.channel);
  assert.deepEqual({ ...served.server.counts }, {
    open: 0,
    served: 0,
    failed: 2,
    refused: 0,
    bytesIn: 0,
    bytesOut: 0,
  });
});

Deno.test("a key that does not fit is told before any channel comes", () => {
  const registration = { ...pki.registration, serverPrivateKey: foreign.server.privateKey };
  assert.throws(() => new ChannelServer({ pki: registration }), { code: "key-malformed" });
});

Deno.test("a target that is down is told once, however many channels want it", async () => {
  using log = captureLog();
  await using served = serve();
  const port = await freePort();
  for (let i = 1; i <= 5; i++) {
    const { tls } = await served.client(await clientOf(port), "infisical-tcp-proxy");
    tls.on("error", () => {});
    tls.resume();
    await left(served.server, 0);
  }
  assert.equal(served.server.counts.failed, 5);
  const told = log.lines.filter((line) => /channel \d failed/.test(line));
  assert.deepEqual(told.map((line) => line.split(" ")[1]), ["WARN"], told.join("\n"));
});
