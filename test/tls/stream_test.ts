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
    /** Under `far`. */
    farSocket: sockets[0]!,
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

/** TLS inside TLS, as between client and gateway. */
async function within(near: TlsStream, far: TlsStream): Promise<[TlsStream, TlsStream]> {
  const server = createTlsServer({ cert: identity.certificate, key: identity.privateKey });
  const carriers = [new TlsCarrier(near), new TlsCarrier(far)] as const;
  const inner = new Promise<TlsStream>((resolve, reject) =>
    acceptTls(server, carriers[1], {
      onSecure: (tls) => resolve(new TlsStream(tls, carriers[1])),
      onFailure: reject,
    })
  );
  const outer = await new Promise<TlsStream>((resolve, reject) => {
    const tls = connectTls({
      socket: carriers[0] as unknown as Socket,
      servername: "localhost",
      ca: authority.certificate,
    });
    tls.once("error", reject);
    tls.once("secureConnect", () => resolve(new TlsStream(tls, carriers[0])));
  });
  return [outer, await inner];
}

Deno.test("what is on its way arrives, also if the other side's last record comes after the close", async () => {
  await using both = await pair();
  const [near, far] = await within(both.near, both.far);
  const size = 3 * MIB;
  near.end(new Uint8Array(size));
  await once(near, "finish");
  // Of what ends the far side, the inner close_notify goes out, and the outer one with the end only later.
  const { farSocket: socket } = both;
  const { write, end } = socket;
  const later: (() => void)[] = [];
  let passing = 1;
  socket.write = ((...args: Parameters<typeof write>) => {
    if (passing-- > 0) return write.apply(socket, args);
    // A copy: what a stream has been given is given back as soon as it has done with it.
    const record = Buffer.from(args[0] as Uint8Array);
    later.push(() => write.call(socket, record));
    return true;
  }) as typeof write;
  socket.end = ((...args: Parameters<typeof end>) => {
    later.push(() => end.apply(socket, args));
    return socket;
  }) as typeof end;
  far.end();
  near.resume();
  await once(near, "end");
  near.destroy();
  // A turn of the event loop: an early close has reached the system by then.
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const go of later) go();
  let arrived = 0;
  far.on("data", (chunk: Buffer) => arrived += chunk.length);
  await once(far, "end");
  assert.equal(arrived, size);
});
