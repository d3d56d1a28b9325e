/**
 * What a relay that nobody should trust can do to a gateway with channels at whose other end nobody ever
 * proves who he is.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { opening } from "../faults/flood.ts";
import { captureLog } from "../captured_log.ts";
import { within } from "../within.ts";
import { serve, type Served, teller } from "./served.ts";
import { closed, type Wire, wire } from "./wire.ts";

const TARGET = "127.0.72.20";

/** A channel on which `words` are said, and what the gateway says of it at last. */
async function stranger({ server }: Served, words: Uint8Array): Promise<Wire> {
  const pair = await wire();
  server.accept(pair.channel);
  pair.far.resume();
  if (words.length > 0) pair.far.write(words);
  return pair;
}

for (const load of ["silent", "garbage", "half"] as const) {
  Deno.test(`a channel with a ${load} handshake is ended in time`, async () => {
    using log = captureLog();
    await using served = serve({ handshakeTimeout: 200 });
    await using pair = await stranger(served, await opening("tls", load));
    await within(5_000, closed(pair.channel));
    await log.line(/channel .* failed: TLS handshake in a channel failed/);
    assert.equal(served.server.counts.open, 0);
  });
}

Deno.test("a channel whose handshake comes byte by byte is ended in time", async () => {
  await using served = serve({ handshakeTimeout: 300 });
  await using pair = await stranger(served, Buffer.alloc(0));
  const hello = await opening("tls", "slow");
  let at = 0;
  const drip = setInterval(() => pair.far.write(hello.subarray(at, ++at)), 10);
  try {
    await within(5_000, closed(pair.channel));
  } finally {
    clearInterval(drip);
  }
  assert.ok(at < hello.length);
});

Deno.test("a ClientHello of 16 MiB is refused when 256 KiB of it have come", async () => {
  await using served = serve({ handshakeTimeout: 60_000 });
  await using pair = await stranger(served, hugeHello(256 * 1024));
  await within(5_000, closed(pair.channel));
});

/** The first bytes of a ClientHello that says it has 16 MiB, in records (RFC 8446 §5.1) of 16 KiB. */
function hugeHello(bytes: number): Buffer {
  const record = Buffer.concat([Buffer.of(22, 3, 1, 0x40, 0), Buffer.alloc(0x4000)]);
  const all = Buffer.concat(Array(Math.ceil(bytes / 0x4000)).fill(record));
  all.set([1, 0xff, 0xff, 0xff, 3, 3], 5);
  return all;
}

Deno.test("a relay that opens channels for nobody keeps no honest client out, and holds no more than the bound", async () => {
  using log = captureLog();
  await using target = await teller(TARGET);
  await using served = serve({ handshakeTimeout: 60_000, maxHandshakes: 8 });
  await using stack = new AsyncDisposableStack();
  const pairs = [];
  for (let i = 0; i < 30; i++) {
    pairs.push(stack.use(await stranger(served, Buffer.alloc(0))));
  }
  await log.line(/8 others came after it/);
  assert.equal(await served.ask("hello", { at: target }), TARGET);
  await within(5_000, Promise.all(pairs.slice(0, 22).map((pair) => closed(pair.channel))));
  assert.ok(served.server.counts.open <= 8);
});
