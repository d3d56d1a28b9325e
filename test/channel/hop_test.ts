import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { HopMaker } from "../../src/channel/hop.ts";
import { closed, type Wire, wire } from "./wire.ts";

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = "";
  stream.on("data", (chunk) => all += chunk);
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

Deno.test("what a slow reader has not taken yet still arrives when the hop is closed", async () => {
  const hops = await HopMaker.open();
  await using pair = await wire();
  const { socket } = await hops.join(pair.channel);
  pair.far.end();
  socket.resume();
  await once(socket, "end");
  const size = 16 * 1024 * 1024;
  const written = new Promise<void>((resolve) => socket.end(new Uint8Array(size), () => resolve()));
  let taken = 0;
  pair.far.on("data", (chunk) => {
    taken += chunk.length;
    pair.far.pause();
    setTimeout(() => pair.far.resume(), 1);
  });
  await written;
  socket.destroy();
  await once(pair.far, "end");
  assert.equal(taken, size);
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
  one.socket.resume();
  first.channel.destroy();
  await once(one.socket, "end");
  one.socket.destroy();
  await using second = await wire();
  const two = await hops.join(second.channel);
  two.socket.destroy();
  second.far.resume();
  await closed(second.channel);
  hops.close();
});
