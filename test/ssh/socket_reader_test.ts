/** Reading into memory of one's own, over real sockets. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { readDirectly } from "../../src/ssh/socket_reader.ts";
import { connectTo, listenOnce } from "./pair.ts";

async function ends() {
  const { server, socket, port } = await listenOnce();
  const far = await connectTo(port);
  const near = await socket;
  server.close();
  return { near, far };
}

Deno.test("bytes come in the buffer that was given, without a data event, and the end as an event", async () => {
  const { near, far } = await ends();
  const buffer = new Uint8Array(1000);
  const chunks: Buffer[] = [];
  near.on("data", () => assert.fail("a data event"));
  const direct = readDirectly(near, buffer, (bytes) => {
    assert.equal(bytes.buffer, buffer.buffer);
    chunks.push(Buffer.from(bytes));
  });
  assert.ok(direct, "Deno's handles have changed");
  const sent = Buffer.alloc(10_000, "0123456789abc");
  far.end(sent);
  await once(near, "end");
  assert.deepEqual(Buffer.concat(chunks), sent);
  assert.equal(near.bytesRead, sent.length);
  near.destroy();
  far.destroy();
});

Deno.test("a reset is told by the socket's events", async () => {
  const { near, far } = await ends();
  near.on("data", () => {});
  assert.ok(readDirectly(near, new Uint8Array(1000), () => {}));
  far.resetAndDestroy();
  const [error] = await once(near, "error") as [Error & { code?: string }];
  assert.equal(error.code, "ECONNRESET");
});

Deno.test("a socket that is gone is not read", async () => {
  const { near, far } = await ends();
  near.destroy();
  assert.equal(readDirectly(near, new Uint8Array(10), () => {}), false);
  far.destroy();
});
