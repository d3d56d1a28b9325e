/** What any program at all may say first: the answer comes, is bounded, and tells SSH from the rest. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { readFirstWords } from "../../../src/diagnostic/doctor/first_words.ts";

const HOST = "127.0.47.4";

/** The first words of a server that does `speak`. */
async function hear(speak: (socket: Socket) => unknown, timeout = 5_000): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    speak(socket);
  }).listen(0, HOST);
  await once(server, "listening");
  try {
    const socket = connect((server.address() as AddressInfo).port, HOST);
    await once(socket, "connect");
    return await readFirstWords(socket, AbortSignal.timeout(timeout));
  } finally {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }
}

Deno.test("an identification is heard in pieces, and behind lines of text", async () => {
  const words = await hear(async (socket) => {
    for (const piece of ["Welcome\r\nto this ho", "st\r\nSS", "H-2.0-x", "\r\n"]) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  assert.equal(words, "Welcome\r\nto this host\r\nSSH-2.0-x\r\n");
});

Deno.test("text that never becomes an identification is given at the deadline", async () => {
  assert.equal(await hear((socket) => socket.write("220 mail\r\n"), 100), "220 mail\r\n");
});

Deno.test("silence is the deadline's error", async () => {
  await assert.rejects(hear(() => {}, 50), (error) => (error as Error).name === "TimeoutError");
});

Deno.test("whatever bytes come, in whatever pieces, the answer is theirs and has an end", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 6_000 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(pieces, async (pieces) => {
      const all = Buffer.concat(pieces).toString("latin1");
      const words = await hear((socket) => {
        for (const piece of pieces) socket.write(piece);
        socket.end();
      });
      assert.ok(all.startsWith(words));
      assert.ok(words.length <= 8 * 1024 + 64 * 1024);
      if (pieces.length > 0) assert.notEqual(words, "");
    }),
    { numRuns: 40 },
  );
});
