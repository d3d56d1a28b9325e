/** What Deno does to a peer that ends without having sent a byte, and that outliveSilentEnd cures it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { outliveSilentEnd } from "../../src/forward/silent_end.ts";
import { closed, sendRandom } from "./streams.ts";

const HOST = "127.0.41.1";
const MIB = 1024 * 1024;
/** Windows gives no second descriptor, and there the fault stays. */
const CURED = { ignore: Deno.build.os === "windows" };

interface Ends extends AsyncDisposable {
  /** The accepted socket, under test. */
  socket: Socket;
  /** The other end: not a node:net socket, which the fault could strike as well. */
  peer: Deno.TcpConn;
}

async function ends(): Promise<Ends> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, HOST);
  await once(server, "listening");
  const accepted = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const peer = await Deno.connect({ hostname: HOST, port });
  const [socket] = await accepted as [Socket];
  server.close();
  return {
    socket,
    peer,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await closed(socket);
      // Unlike close(), it may come twice.
      peer[Symbol.dispose]();
    },
  };
}

/** Everything until the end. */
async function receive(peer: Deno.Conn): Promise<{ size: number; hash: string }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(64 * 1024);
  let size = 0;
  for (let count; (count = await peer.read(buffer)) !== null;) {
    hash.update(buffer.subarray(0, count));
    size += count;
  }
  return { size, hash: hash.digest("hex") };
}

Deno.test("Deno fails writes to a peer that ended without a byte; if not, silent_end.ts can go", async () => {
  await using both = await ends();
  await both.peer.closeWrite();
  both.socket.resume();
  await once(both.socket, "end");
  const failed = once(both.socket, "error");
  both.socket.end(new Uint8Array(16 * MIB));
  await receive(both.peer);
  const [{ code }] = await failed as [{ code: string }];
  assert.equal(code, "EPIPE");
});

Deno.test({
  name: "a peer that ended without a byte gets every byte, whenever its end came",
  ...CURED,
  async fn() {
    for (const when of ["before", "while waiting for room"]) {
      await using both = await ends();
      outliveSilentEnd(both.socket);
      both.socket.resume();
      const end = once(both.socket, "end");
      if (when === "before") await both.peer.closeWrite().then(() => end);
      const sent = sendRandom(both.socket, 64 * MIB);
      if (when !== "before") {
        while (!both.socket.writableNeedDrain) await new Promise((next) => setTimeout(next));
        await both.peer.closeWrite().then(() => end);
      }
      const received = await receive(both.peer);
      assert.deepEqual(received, { size: 64 * MIB, hash: await sent }, when);
      await closed(both.socket);
    }
  },
});

Deno.test({
  name: "with the first byte the socket writes for itself again, and no byte changes its place",
  ...CURED,
  async fn() {
    await using both = await ends();
    outliveSilentEnd(both.socket);
    assert.ok(Object.hasOwn(both.socket, "_write"), "the other way was taken");
    const sent = sendRandom(both.socket, 32 * MIB);
    while (!both.socket.writableNeedDrain) await new Promise((next) => setTimeout(next));
    await both.peer.write(new Uint8Array(1));
    await once(both.socket, "data");
    assert.deepEqual(await receive(both.peer), { size: 32 * MIB, hash: await sent });
    assert.ok(!Object.hasOwn(both.socket, "_write"), "the socket's own way is back");
    outliveSilentEnd(both.socket);
    assert.ok(!Object.hasOwn(both.socket, "_write"), "bytes came: there is nothing to outlive");
  },
});

Deno.test({
  name: "a peer that does not read stops the sender, and a reset still reaches it",
  ...CURED,
  async fn() {
    await using both = await ends();
    outliveSilentEnd(both.socket);
    await both.peer.closeWrite();
    both.socket.resume();
    await once(both.socket, "end");
    let took = 0;
    const block = new Uint8Array(MIB);
    const write = () => both.socket.write(block, (error) => error || (took++, write()));
    write();
    for (let before = -1; took !== before;) {
      before = took;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(took < 32, `${took} MiB were taken from a peer that does not read`);
    both.socket.resetAndDestroy();
    await closed(both.socket);
    await assert.rejects(receive(both.peer), Deno.errors.ConnectionReset);
  },
});

Deno.test({
  name: "a peer that resets fails the write that waits for it",
  ...CURED,
  async fn() {
    await using both = await ends();
    outliveSilentEnd(both.socket);
    const failed = once(both.socket, "error");
    both.socket.write(new Uint8Array(16 * MIB));
    while (!both.socket.writableNeedDrain) await new Promise((next) => setTimeout(next));
    // Closed with unread bytes, which makes it a reset.
    await both.peer.read(new Uint8Array(1));
    both.peer.close();
    const [{ code }] = await failed as [{ code: string }];
    assert.match(code, /EPIPE|ECONNRESET/);
  },
});

Deno.test({
  name: "the second descriptor is closed with the socket and with the first byte",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
    await using both = await ends();
    const before = open();
    outliveSilentEnd(both.socket);
    assert.equal(open(), before + 1);
    both.socket.resume();
    await both.peer.write(new Uint8Array(1));
    await once(both.socket, "data");
    await new Promise<void>((resolve) => both.socket.write("x", () => resolve()));
    assert.equal(open(), before);
    await using other = await ends();
    const after = open();
    outliveSilentEnd(other.socket);
    other.socket.destroy();
    await closed(other.socket);
    // The socket's own goes first, the second one a few turns later.
    for (let turn = 0; turn < 100 && open() > after - 1; turn++) {
      await new Promise((next) => setTimeout(next));
    }
    assert.equal(open(), after - 1);
  },
});
