import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { Lent } from "../../src/tls/release.ts";

/** A stream that has done with a chunk when it is told so. */
function slow() {
  const waiting: (() => void)[] = [];
  const stream = new Duplex({
    writableHighWaterMark: 1,
    read() {},
    write: (_chunk, _encoding, done) => void waiting.push(done),
  });
  const finish = () => waiting.shift()?.();
  return { stream, finish };
}

const whole = (size = 100) => Buffer.from(new ArrayBuffer(size));

Deno.test("a chunk is freed when the stream has done with it, not before", async () => {
  const { stream, finish } = slow();
  const lent = new Lent(stream);
  const [first, second] = [whole(), whole()];
  for (const chunk of [first, second]) {
    stream.write(chunk);
    lent.add(chunk);
  }
  finish();
  lent.settle();
  assert.deepEqual([first.length, second.length], [100, 100]);
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  lent.settle();
  assert.deepEqual([first.length, second.length], [0, 0]);
});

Deno.test("a view of a part of a buffer is left alone", () => {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const lent = new Lent(stream);
  const buffer = whole();
  const part = buffer.subarray(0, 50);
  stream.write(part);
  lent.add(part);
  assert.equal(part.length, 50);
  assert.equal(buffer.length, 100);
});

Deno.test("chunks of a stream that is never done are forgotten and not freed", () => {
  const { stream } = slow();
  const lent = new Lent(stream);
  const chunks = Array.from({ length: 200 }, () => whole());
  for (const chunk of chunks) {
    stream.write(chunk);
    lent.add(chunk);
  }
  assert.ok(chunks.every((chunk) => chunk.length === 100));
  stream.destroy();
});

Deno.test("what a destroyed stream was given is not freed: the system may be at work on it", () => {
  const { stream } = slow();
  const lent = new Lent(stream);
  const chunk = whole();
  stream.on("error", () => {});
  stream.write(chunk);
  lent.add(chunk);
  stream.destroy(new Error("broken"));
  // Whatever node makes of the length of a destroyed stream.
  Object.defineProperty(stream, "writableLength", { value: 0 });
  lent.settle();
  assert.equal(chunk.length, 100);
});
