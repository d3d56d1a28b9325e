/** What Deno's TLS sockets do to a stream, and that TlsStream cures it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { acceptTls, TlsCarrier } from "../../src/tls/carrier.ts";
import { TlsStream } from "../../src/tls/stream.ts";
import { certificate } from "../forward/certificates.ts";

const HOST = "127.0.0.1";
const MIB = 1024 * 1024;
const authority = await certificate("authority", { authority: true });
const identity = await certificate("server", { issuer: authority, hosts: ["localhost"] });

/** Both ends of one TLS connection, each as a TlsStream on its network socket. */
async function pair() {
  const tlsServer = createTlsServer(
    {
      cert: identity.certificate,
      key: identity.privateKey,
      allowHalfOpen: true,
    } as Parameters<typeof createTlsServer>[0],
  );
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, HOST);
  await once(server, "listening");
  const far = new Promise<TlsStream>((resolve, reject) => {
    server.on("connection", (socket: Socket) => {
      sockets.push(socket);
      const carrier = new TlsCarrier(socket);
      acceptTls(tlsServer, carrier, {
        onSecure: (tls) => resolve(new TlsStream(tls, carrier)),
        onFailure: reject,
      });
    });
  });
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: HOST, port, allowHalfOpen: true, noDelay: true });
  const near = await new Promise<TlsStream>((resolve, reject) => {
    const carrier = new TlsCarrier(socket);
    const tls = connectTls({
      socket: carrier as unknown as Socket,
      servername: "localhost",
      ca: authority.certificate,
      ...({ allowHalfOpen: true } as object),
    });
    tls.once("error", reject);
    tls.once("secureConnect", () => resolve(new TlsStream(tls, carrier)));
  });
  return {
    near,
    far: await far,
    /** Under `near`. */
    socket,
    async [Symbol.asyncDispose]() {
      near.destroy();
      (await far).destroy();
      socket.destroy();
      for (const one of sockets) one.destroy();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

async function readAll(stream: TlsStream): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end");
  return Buffer.concat(chunks).toString();
}

Deno.test("what is written behind a write of no bytes arrives", async () => {
  await using both = await pair();
  const reading = readAll(both.far);
  for (const text of ["", "a", "", "b", ""]) both.near.write(text);
  both.near.end();
  assert.equal(await reading, "ab");
});

Deno.test("an end of the connection without close_notify is a break, not an end", async () => {
  await using both = await pair();
  both.near.write("a part");
  const [chunk] = await once(both.far, "data");
  assert.equal(String(chunk), "a part");
  both.far.on("end", () => assert.fail("it passed for the whole"));
  const broken = once(both.far, "error");
  both.socket.end();
  const [{ code, message }] = await broken as [{ code: string; message: string }];
  assert.equal(code, "ssh-closed");
  assert.match(message, /without TLS's close_notify/);
});

Deno.test("a half-close arrives alone and behind data, and the answer comes back, 50 times of 50", async () => {
  for (let round = 0; round < 50; round++) {
    await using both = await pair();
    const question = round % 2 ? "question" : "";
    both.far.on("data", () => {});
    both.far.on("end", () => both.far.end(`answer ${round}`));
    const reading = readAll(both.near);
    both.near.end(question);
    assert.equal(await reading, `answer ${round}`);
  }
});

Deno.test("a reader that does not read stops the sender after a few MiB, and then gets every byte", async () => {
  await using both = await pair();
  const total = 64 * MIB;
  const block = Buffer.alloc(256 * 1024, "x");
  let written = 0;
  const fill = () => {
    while (written < total) {
      written += block.length;
      if (!both.near.write(block)) return void both.near.once("drain", fill);
    }
    both.near.end();
  };
  fill();
  // Nobody reads: what the sender gets rid of in a second is what lies in between.
  let before = -1;
  while (written !== before) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.ok(written < 16 * MIB, `${written} bytes were taken from a reader that does not read`);
  let read = 0;
  both.far.on("data", (chunk: Buffer) => read += chunk.length);
  await once(both.far, "end");
  assert.equal(read, total);
});
