import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { HopMaker } from "../../src/channel/hop.ts";
import { closed, type Wire, wire } from "./wire.ts";

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = "";
  stream.on("data", (chunk) => all += chunk);
  stream.resume();
  await once(stream, "end");
  return all;
}

Deno.test("each duplex gets the socket that stands for it, 20 at once", async () => {
  const hops = await HopMaker.open();
  const wires: Wire[] = [];
  for (let i = 0; i < 20; i++) wires.push(await wire());
  const joined = await Promise.all(wires.map(({ channel }) => hops.join(channel)));
  for (const [i, { far }] of wires.entries()) far.end(`channel ${i}`);
  for (const [i, { socket }] of joined.entries()) {
    assert.equal(await text(socket), `channel ${i}`);
    socket.end(`answer ${i}`);
    assert.equal(await text(wires[i]!.far), `answer ${i}`);
  }
  for (const pair of wires) await pair[Symbol.asyncDispose]();
  hops.close();
});

Deno.test("what a slow duplex has not sent yet still goes out when the hop is closed", async () => {
  const hops = await HopMaker.open();
  const size = 32 * 16 * 1024;
  let sent = 0;
  const duplex = new Duplex({
    allowHalfOpen: true,
    writableHighWaterMark: 2 * size,
    read() {},
    write(chunk, _encoding, done) {
      // A relay whose window opens now and then.
      setTimeout(() => {
        sent += chunk.length;
        done();
      }, 20);
    },
  });
  const { socket } = await hops.join(duplex);
  duplex.push("a request");
  duplex.push(null);
  socket.resume();
  await once(socket, "end");
  await new Promise<void>((resolve) => socket.end(new Uint8Array(size), () => resolve()));
  socket.destroy();
  await once(duplex, "close");
  assert.equal(sent, size);
  hops.close();
});

Deno.test("a stranger who connects is cut off, even one who resets, and disturbs nobody", async () => {
  const hops = await HopMaker.open();
  const { port } = hops;
  const rude = connect(port, "127.0.0.1");
  await once(rude, "connect");
  rude.resetAndDestroy();
  const stranger = connect(port, "127.0.0.1");
  let heard = 0;
  stranger.on("data", (chunk) => heard += chunk.length);
  stranger.on("error", () => {});
  await once(stranger, "connect");
  stranger.write("let me in");
  await using pair = await wire();
  const { socket } = await hops.join(pair.channel);
  pair.far.end("hello");
  assert.equal(await text(socket), "hello");
  await closed(stranger);
  assert.equal(heard, 0);
  socket.destroy();
  hops.close();
});

Deno.test("a duplex that is gone takes its socket with it, and the other way round", async () => {
  const hops = await HopMaker.open();
  await using first = await wire();
  const one = await hops.join(first.channel);
  first.channel.destroy();
  await closed(one.socket);
  assert.equal(one.socket.readableEnded, false, "a cut duplex must not look like a whole one");
  await using second = await wire();
  const two = await hops.join(second.channel);
  two.socket.destroy();
  second.far.resume();
  await closed(second.channel);
  hops.close();
});
