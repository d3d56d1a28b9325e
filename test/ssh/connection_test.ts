/** The connection protocol with both ends in one process: every order of messages, exactly. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import * as fc from "fast-check";
import { SallyportError } from "../../src/errors.ts";
import { type Channel, PACKET } from "../../src/ssh/channel.ts";
import { FIRST_WINDOW } from "../../src/ssh/window_budget.ts";
import { Connection } from "../../src/ssh/connection.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";

const LOST = new SallyportError("ssh-closed", "cut");
const code = (expected: string) => (error: unknown) =>
  error instanceof SallyportError && error.code === expected;

/** One end, its peer played by the test: what it sends is kept, what it gets is written by hand. */
function end(options: { maxChannels?: number; accept?: boolean } = {}) {
  const sent: Buffer[] = [];
  const channels: Channel[] = [];
  const state = { congested: false };
  const connection = new Connection({
    send: (...parts) => sent.push(Buffer.concat(parts)),
    congested: () => state.congested,
    maxChannels: options.maxChannels,
    ...(options.accept === false ? {} : { onOpen: (channel: Channel) => channels.push(channel) }),
  });
  /** One read with one message; the bytes are gone afterwards, as they are in a session. */
  const get = (...parts: Uint8Array[]) => {
    const message = Buffer.concat(parts);
    connection.receive(message);
    connection.deliver();
    message.fill(0xee);
  };
  return {
    connection,
    sent,
    state,
    get,
    /** Numbers of the messages sent since the last call. */
    numbers: () => sent.splice(0).map((message) => message[0]),
    /** The peer opens a channel. */
    open: (window = 2 * 1024 * 1024, packet = PACKET, id = 900 + channels.length): Channel => {
      get(byte(MESSAGE.channelOpen), string("direct-tcpip"), ...[id, window, packet].map(uint32));
      sent.length = 0;
      return channels.at(-1)!;
    },
    data: (channel: Channel, bytes: Uint8Array | string) =>
      get(byte(MESSAGE.channelData), uint32(channel.id), string(bytes)),
    eof: (channel: Channel) => get(byte(MESSAGE.channelEof), uint32(channel.id)),
    close: (channel: Channel) => get(byte(MESSAGE.channelClose), uint32(channel.id)),
    adjust: (channel: Channel, bytes: number) =>
      get(byte(MESSAGE.channelWindowAdjust), uint32(channel.id), uint32(bytes)),
  };
}

async function text(channel: Channel): Promise<string> {
  let all = "";
  channel.on("data", (chunk: Buffer) => all += chunk.toString("latin1"));
  await once(channel, "end");
  return all;
}

/** What a message carries after number and channel. */
const carried = (messages: Buffer[]) =>
  Buffer.concat(
    messages.filter((m) => m[0] === MESSAGE.channelData).map((m) => m.subarray(9)),
  );

// Half-close and close, in every order

Deno.test("EOF from the peer first: our answer still goes out, then both close", async () => {
  const { open, data, eof, close, numbers, connection } = end();
  const channel = open();
  data(channel, "question");
  eof(channel);
  assert.equal(await text(channel), "question");
  assert.equal(channel.destroyed, false);
  channel.end("answer");
  await once(channel, "finish");
  assert.deepEqual(numbers(), [MESSAGE.channelData, MESSAGE.channelEof, MESSAGE.channelClose]);
  close(channel);
  assert.equal(connection.channels, 0);
});

Deno.test("EOF from us first: the peer's answer still comes in, then both close", async () => {
  const { open, data, eof, close, numbers, connection } = end();
  const channel = open();
  channel.end("question");
  await once(channel, "finish");
  assert.deepEqual(numbers(), [MESSAGE.channelData, MESSAGE.channelEof]);
  const answer = text(channel);
  data(channel, "ans");
  data(channel, "wer");
  eof(channel);
  assert.equal(await answer, "answer");
  assert.deepEqual(numbers(), [MESSAGE.channelClose]);
  close(channel);
  assert.equal(connection.channels, 0);
});

Deno.test("CLOSE while the reader is paused: everything that came is still read", async () => {
  for (const withEof of [true, false]) {
    const { open, data, eof, close, numbers, connection } = end();
    const channel = open();
    const big = Buffer.alloc(5000, "x");
    for (let i = 0; i < 6; i++) data(channel, big);
    data(channel, "tail");
    if (withEof) eof(channel);
    close(channel);
    assert.deepEqual(numbers(), [MESSAGE.channelClose]);
    assert.equal(connection.channels, 0);
    await new Promise((resolve) => setImmediate(resolve));
    const all = await text(channel);
    assert.equal(all.length, 6 * 5000 + 4);
    assert.ok(all.endsWith("xtail"));
    if (!channel.closed) await once(channel, "close");
  }
});

Deno.test("CLOSE while a write waits for the window: what came is read, then the write fails", async () => {
  const { open, data, close } = end();
  const channel = open(3);
  const outcome: unknown[] = [];
  channel.write("more than three", (error) => outcome.push(error));
  data(channel, "early answer");
  close(channel);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(outcome.length, 0);
  assert.equal(await text(channel), "early answer");
  if (!channel.closed) await once(channel, "close");
  assert.equal(outcome.length, 1);
  assert.ok(outcome[0] instanceof Error);
});

Deno.test("a write after the peer's CLOSE neither loses what came nor counts as done", async () => {
  const { open, data, close, numbers } = end();
  const channel = open();
  data(channel, "answer");
  close(channel);
  numbers();
  let done: unknown = "nothing";
  channel.write("too late", (error) => done = error);
  assert.equal(await text(channel), "answer");
  if (!channel.closed) await once(channel, "close");
  assert.ok(done instanceof Error);
  assert.deepEqual(numbers(), []);
});

Deno.test("destroy sends CLOSE once, and the number stays taken until the peer has closed", () => {
  const { open, data, eof, close, numbers, connection } = end();
  const channel = open();
  channel.destroy();
  return once(channel, "close").then(() => {
    assert.deepEqual(numbers(), [MESSAGE.channelClose]);
    data(channel, "still under way");
    eof(channel);
    assert.equal(connection.channels, 1);
    close(channel);
    assert.equal(connection.channels, 0);
    assert.deepEqual(numbers(), []);
    assert.throws(() => data(channel, "x"), code("ssh-protocol"));
    assert.notEqual(open().id, channel.id);
  });
});

// The end of the session

Deno.test("the session ends: what came before is read, then the reader meets the reason", async () => {
  const { open, data, connection } = end();
  const [busy, idle] = [open(), open()];
  const failure = once(busy, "error");
  const idleFailure = once(idle, "error");
  data(busy, "as far as");
  data(busy, " it came");
  connection.end(LOST);
  assert.deepEqual(await idleFailure, [LOST]);
  let all = "";
  busy.on("data", (chunk: Buffer) => all += chunk);
  assert.deepEqual(await failure, [LOST]);
  assert.equal(all, "as far as it came");
});

Deno.test("the session ends after both sides said everything: no error", async () => {
  const { open, data, eof, connection } = end();
  const channel = open();
  channel.on("error", (error) => assert.fail(error));
  channel.end("question");
  data(channel, "answer");
  eof(channel);
  connection.end(LOST);
  assert.equal(await text(channel), "answer");
  if (!channel.closed) await once(channel, "close");
});

Deno.test("the session ends: every open and ping that waits is told", async () => {
  const { connection } = end();
  const opening = connection.open();
  const failed: SallyportError[] = [];
  connection.ping(() => assert.fail("no answer came"), (error) => failed.push(error));
  connection.end(LOST);
  await assert.rejects(opening, LOST);
  await assert.rejects(connection.open(), LOST);
  connection.ping(() => {}, (error) => failed.push(error));
  assert.deepEqual(failed, [LOST, LOST]);
});

// Windows

Deno.test("a stalled reader is sent at most its window, and one byte more is a breach", () => {
  const { open, data, numbers } = end();
  const channel = open();
  for (let left = FIRST_WINDOW; left > 0; left -= PACKET) data(channel, Buffer.alloc(PACKET));
  assert.equal(channel.readableLength, FIRST_WINDOW);
  assert.deepEqual(numbers(), []);
  assert.throws(() => data(channel, Buffer.alloc(1)), code("ssh-protocol"));
});

Deno.test("a flood of one-byte messages is gathered, and arrives in order", async () => {
  const { open, data } = end();
  const channel = open();
  data(channel, Buffer.alloc(8 * 1024));
  const total = 20_000;
  for (let i = 0; i < total; i++) data(channel, Buffer.of(i % 251));
  const chunks: number[] = [];
  let at = -8 * 1024;
  channel.on("data", (chunk: Buffer) => {
    chunks.push(chunk.length);
    for (const value of chunk) {
      if (at >= 0 && value !== at % 251) assert.fail(`byte ${at} is ${value}`);
      at++;
    }
    if (at === total) channel.destroy();
  });
  await once(channel, "close");
  assert.equal(at, total);
  assert.ok(chunks.length < 10, `${chunks.length} buffers`);
});

Deno.test("what comes together arrives in one piece, taken directly or not, and EOF comes behind it", async () => {
  for (const direct of [false, true]) {
    const { connection, open } = end();
    const channel = open();
    const pieces: string[] = [];
    const take = (chunk: Uint8Array) => pieces.push(Buffer.from(chunk).toString());
    channel.on("data", take);
    if (direct) channel.takeDirectly(take);
    const message = (number: number, ...rest: Uint8Array[]) =>
      connection.receive(Buffer.concat([byte(number), uint32(channel.id), ...rest]));
    for (const text of ["a", "b", "c"]) message(MESSAGE.channelData, string(text));
    message(MESSAGE.channelEof);
    connection.deliver();
    await once(channel, "end");
    assert.deepEqual(pieces, ["abc"]);
  }
});

Deno.test("who takes directly and pauses gets the rest in order, and the window opens again", async () => {
  const { open, data, eof, numbers } = end();
  const channel = open();
  let all = "";
  const take = (chunk: Uint8Array) => {
    all += Buffer.from(chunk).toString();
    channel.pause();
    setImmediate(() => channel.resume());
  };
  channel.on("data", take);
  channel.takeDirectly(take);
  let expected = "";
  for (let i = 0; i < 40; i++) {
    const text = String.fromCharCode(97 + i % 26).repeat(4096);
    expected += text;
    data(channel, text);
    if (i % 4 === 3) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  eof(channel);
  await once(channel, "end");
  assert.equal(all, expected);
  assert.ok(numbers().filter((number) => number === MESSAGE.channelWindowAdjust).length > 2);
});

Deno.test("a message of every size between 0 and the largest arrives, and an empty one is none", async () => {
  const { open, data, eof } = end();
  const channel = open();
  const sizes = [0, 1, 2, 7, 255, 256, 4095, 4096, 4097, 16_383, 16_384, 32_767, 32_768];
  const reading = text(channel);
  for (const size of sizes) {
    data(channel, Buffer.alloc(size, size & 0xff));
    await new Promise((resolve) => setImmediate(resolve));
  }
  eof(channel);
  const expected = Buffer.concat(sizes.map((size) => Buffer.alloc(size, size & 0xff)));
  assert.ok(Buffer.from(await reading, "latin1").equals(expected));
});

Deno.test("a writer keeps to the peer's window and packet size", async () => {
  const { open, adjust, sent } = end();
  const channel = open(10, 4);
  let done = false;
  channel.write("abcdefghijklmnopqrstuvwxyz", () => done = true);
  assert.deepEqual(sent.map((m) => m.readUInt32BE(5)), [4, 4, 2]);
  adjust(channel, 1);
  adjust(channel, 1000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done, true);
  assert.equal(carried(sent).toString(), "abcdefghijklmnopqrstuvwxyz");
  assert.ok(sent.every((m) => m[0] !== MESSAGE.channelData || m.readUInt32BE(5) <= 4));
  adjust(channel, 0xffff_ffff);
  adjust(channel, 0xffff_ffff);
});

Deno.test("a full socket stops every channel, and they go on in turn", async () => {
  const { open, connection, state, sent } = end();
  const channels = [open(), open(), open()];
  state.congested = true;
  const block = Buffer.alloc(PACKET);
  for (const channel of channels) {
    for (let i = 0; i < 6; i++) channel.write(block);
  }
  assert.equal(sent.length, 0);
  const order: number[] = [];
  const push = sent.push.bind(sent);
  sent.push = (...messages) => {
    order.push(...messages.map((m) => m.readUInt32BE(1)));
    state.congested = order.length % 2 === 0;
    return push(...messages);
  };
  while (order.length < 12) {
    state.congested = false;
    connection.drained();
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const channel of channels) {
    const turns = order.slice(0, 12).filter((id) => id === channel.peerId).length;
    assert.ok(turns >= 2, `channel ${channel.peerId} had ${turns} of 12 turns: ${order}`);
  }
  for (const channel of channels) channel.destroy();
});

// Opening

Deno.test("channels are opened up to the limit, by us as by the peer, and refused beyond", async () => {
  const ours = end({ maxChannels: 2 });
  void ours.connection.open().catch(() => {});
  void ours.connection.open().catch(() => {});
  await assert.rejects(ours.connection.open(), code("channel-limit"));
  const theirs = end({ maxChannels: 2 });
  theirs.open();
  theirs.open();
  theirs.get(byte(90), string("direct-tcpip"), uint32(77), uint32(1), uint32(1));
  assert.equal(theirs.sent[0]![0], MESSAGE.channelOpenFailure);
  assert.equal(theirs.sent[0]!.readUInt32BE(1), 77);
  ours.connection.end(LOST);
});

Deno.test("a channel of another type, or on a side that takes none, is refused", () => {
  const { get, sent } = end();
  get(byte(90), string("session"), uint32(1), uint32(1), uint32(1));
  assert.equal(sent[0]!.readUInt32BE(5), 3);
  const closed = end({ accept: false });
  closed.get(byte(90), string("direct-tcpip"), uint32(1), uint32(1), uint32(1));
  assert.equal(closed.sent[0]!.readUInt32BE(5), 1);
});

Deno.test("a channel that is confirmed after its opener gave up is closed again", async () => {
  const { connection, get, numbers } = end();
  const given = new AbortController();
  const opening = connection.open(given.signal);
  given.abort();
  await assert.rejects(opening, code("timeout"));
  numbers();
  get(byte(91), uint32(0), uint32(5), uint32(100), uint32(100));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(numbers(), [MESSAGE.channelClose]);
  get(byte(97), uint32(0));
  assert.equal(connection.channels, 0);
  assert.throws(() => get(byte(97), uint32(0)), code("ssh-protocol"));
});

Deno.test("answers to pings are taken in the order of asking, and unasked ones are ignored", () => {
  const { connection, get } = end();
  const answered: number[] = [];
  get(byte(MESSAGE.requestFailure));
  for (const n of [1, 2, 3]) connection.ping(() => answered.push(n));
  get(byte(MESSAGE.requestFailure));
  get(byte(MESSAGE.requestSuccess));
  assert.deepEqual(answered, [1, 2]);
});

Deno.test("global requests are answered in their order, and only where an answer is wanted", () => {
  const { get, sent } = end();
  get(byte(80), string("keepalive@openssh.com"), byte(1));
  get(byte(80), string("hostkeys-00@openssh.com"), byte(0));
  get(byte(80), string("tcpip-forward"), byte(1), string("0.0.0.0"), uint32(80));
  assert.deepEqual(sent, [byte(MESSAGE.requestFailure), byte(MESSAGE.requestFailure)]);
});

// Bytes from outside

const messageNumbers = fc.oneof(
  fc.constantFrom(...Object.values(MESSAGE)),
  fc.integer({ min: 0, max: 255 }),
);
/** Messages that are nearly right: a known number, small channel numbers, then anything. */
const messages = fc.tuple(
  messageNumbers,
  fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
  fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => string(bytes)),
  ),
).map(([number, fields, rest]) => Buffer.concat([byte(number), ...fields.map(uint32), rest]));

Deno.test("whatever messages come, the answer is an error of ours or none, and memory is bounded", () => {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 60 }), (list) => {
      const { open, connection, state, sent } = end({ maxChannels: 8 });
      for (let i = 0; i < 3; i++) open().on("error", () => {});
      for (const message of list) {
        try {
          connection.receive(message);
        } catch (error) {
          assert.ok(error instanceof SallyportError, `${message.toString("hex")}: ${error}`);
        }
        state.congested = !state.congested;
        connection.drained();
      }
      assert.ok(connection.channels <= 8);
      assert.ok(sent.length <= 2 * list.length);
      connection.end(LOST);
      assert.equal(connection.channels, 0);
    }),
    { numRuns: 1000, seed: 42 },
  );
  assert.throws(() => end().connection.receive(Buffer.alloc(0)), SallyportError);
});

Deno.test("both ends count what was asked for, so a channel has one name, also behind a refused one", async () => {
  const name = () => "5e55107a";
  const theirs: Channel[] = [];
  let full = true;
  const relay: Connection = new Connection({
    send: (...parts) => gateway.receive(Buffer.concat(parts)),
    congested: () => false,
    name,
  });
  const gateway: Connection = new Connection({
    send: (...parts) => relay.receive(Buffer.concat(parts)),
    congested: () => false,
    get maxChannels() {
      return full ? 0 : 10;
    },
    onOpen: (channel) => theirs.push(channel),
    name,
  });
  await assert.rejects(relay.open(), code("ssh-channel"));
  full = false;
  const ours = [await relay.open(), await relay.open()];
  const names = ["5e55107a-2", "5e55107a-3"];
  assert.deepEqual(ours.map((channel) => channel.name), names);
  assert.deepEqual(theirs.map((channel) => channel.name), names);
});
