import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { forwardTcp } from "../../src/forward/tcp.ts";
import {
  context,
  ended,
  freePort,
  HOST,
  receive,
  route,
  sendRandom,
  streamPair,
  tcpTarget,
  text,
} from "./streams.ts";

const MIB = 1024 * 1024;

Deno.test("an answer to a request that ends with a half-close arrives, 20 times of 20", async () => {
  await using target = await tcpTarget((socket) => {
    let count = 0;
    socket.on("data", (chunk) => count += chunk.length);
    socket.on("end", () => socket.end(`${count}\n`));
  });
  for (let i = 0; i < 20; i++) {
    await using pair = await streamPair();
    const result = forwardTcp(
      pair.server,
      route("tcp", { host: HOST, port: target.port }),
      context(),
    );
    const answer = text(pair.client);
    pair.client.write("x".repeat(1000 + i));
    pair.client.end();
    assert.equal(await answer, `${1000 + i}\n`);
    assert.deepEqual(await result, { bytesIn: 1000 + i, bytesOut: 5 });
  }
});

Deno.test("a half-close right behind nothing is passed on, 20 times of 20", async () => {
  await using target = await tcpTarget((socket) => {
    socket.resume();
    socket.on("end", () => socket.end("over"));
  });
  for (let i = 0; i < 20; i++) {
    await using pair = await streamPair();
    const result = forwardTcp(
      pair.server,
      route("tcp", { host: HOST, port: target.port }),
      context(),
    );
    const answer = text(pair.client);
    pair.client.end();
    assert.equal(await answer, "over");
    await result;
  }
});

Deno.test("the target's half-close leaves the way to the target open, 20 times of 20", async () => {
  for (let i = 0; i < 20; i++) {
    const received = Promise.withResolvers<string>();
    await using target = await tcpTarget((socket) => {
      socket.end("done");
      text(socket).then(received.resolve, received.reject);
    });
    await using pair = await streamPair();
    const result = forwardTcp(
      pair.server,
      route("tcp", { host: HOST, port: target.port }),
      context(),
    );
    assert.equal(await text(pair.client), "done");
    pair.client.end("still heard");
    assert.equal(await received.promise, "still heard");
    assert.deepEqual(await result, { bytesIn: 11, bytesOut: 4 });
  }
});

Deno.test("a target that ends at once without a byte still gets 64 MiB, byte for byte", async () => {
  const atTarget = Promise.withResolvers<{ size: number; hash: string }>();
  await using target = await tcpTarget((socket) => {
    socket.end();
    receive(socket).then(atTarget.resolve, atTarget.reject);
  });
  await using pair = await streamPair();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context(),
  );
  assert.equal(await text(pair.client), "");
  const sent = await sendRandom(pair.client, 64 * MIB);
  assert.deepEqual(await atTarget.promise, { size: 64 * MIB, hash: sent });
  assert.deepEqual(await result, { bytesIn: 64 * MIB, bytesOut: 0 });
});

Deno.test("64 MiB go both ways at once, byte for byte", async () => {
  const atTarget = Promise.withResolvers<{ sent: string; received: string }>();
  await using target = await tcpTarget((socket) => {
    Promise.all([sendRandom(socket, 64 * MIB - 7), receive(socket)])
      .then(([sent, { hash }]) => atTarget.resolve({ sent, received: hash }), atTarget.reject);
  });
  await using pair = await streamPair();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context(),
  );
  const [sent, received] = await Promise.all([
    sendRandom(pair.client, 64 * MIB),
    receive(pair.client),
  ]);
  const far = await atTarget.promise;
  assert.equal(far.received, sent);
  assert.equal(received.hash, far.sent);
  assert.deepEqual(await result, { bytesIn: 64 * MIB, bytesOut: 64 * MIB - 7 });
});

/** Writes until the stream takes no more for `quiet` ms. Gives the bytes taken. */
async function fill(stream: NodeJS.WritableStream, limit: number, quiet = 400): Promise<number> {
  const chunk = Buffer.alloc(64 * 1024);
  let taken = 0;
  while (taken < limit) {
    taken += chunk.length;
    if (stream.write(chunk)) continue;
    const drained = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), quiet);
      stream.once("drain", () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    if (!drained) break;
  }
  return taken;
}

Deno.test("a target that does not read stops the platform within a few MiB", async () => {
  await using target = await tcpTarget((socket) => socket.pause());
  await using pair = await streamPair();
  const stop = new AbortController();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context({ signal: stop.signal }),
  );
  const taken = await fill(pair.client, 64 * MIB);
  assert.ok(taken < 32 * MIB, `${taken} bytes were taken`);
  stop.abort(new Error("enough"));
  await assert.rejects(result, /enough/);
});

Deno.test("a platform that does not read stops the target within a few MiB", async () => {
  const taken = Promise.withResolvers<number>();
  await using target = await tcpTarget((socket) => {
    fill(socket, 64 * MIB).then(taken.resolve, taken.reject);
  });
  await using pair = await streamPair();
  const stop = new AbortController();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context({ signal: stop.signal }),
  );
  assert.ok(await taken.promise < 32 * MIB, `${await taken.promise} bytes were taken`);
  stop.abort(new Error("enough"));
  await assert.rejects(result, /enough/);
});

Deno.test("a target that resets the connection ends the stream, and the error says so", async () => {
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => socket.resetAndDestroy());
  });
  await using pair = await streamPair();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context(),
  );
  pair.client.write("hello");
  await assert.rejects(result, /ECONNRESET|reset/i);
  assert.equal(await pair.fate, "reset", "a cut connection must not look like a whole one");
});

Deno.test("a platform that vanishes ends the target's connection", async () => {
  const gone = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<void>();
  await using target = await tcpTarget((socket) => {
    socket.once("data", () => heard.resolve());
    socket.once("close", () => gone.resolve());
    socket.on("end", () => socket.end());
  });
  await using pair = await streamPair();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context(),
  );
  pair.client.write("hello");
  await heard.promise;
  pair.socket.resetAndDestroy();
  await assert.rejects(result);
  await gone.promise;
});

Deno.test("a refused target is told with its name and the stream is closed", async () => {
  const port = await freePort();
  await using pair = await streamPair();
  await assert.rejects(
    forwardTcp(pair.server, route("tcp", { host: HOST, port }), context()),
    { code: "target-unreachable", message: `target ${HOST}:${port}: connection refused` },
  );
  assert.equal(await pair.fate, "reset");
});

Deno.test("an abort ends a forward that is under way", async () => {
  const connected = Promise.withResolvers<void>();
  await using target = await tcpTarget(() => connected.resolve());
  await using pair = await streamPair();
  const stop = new AbortController();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: target.port }),
    context({ signal: stop.signal }),
  );
  await connected.promise;
  stop.abort(new Error("the gateway is stopping"));
  await assert.rejects(result, /the gateway is stopping/);
  assert.equal(await pair.fate, "reset");
});

Deno.test("connecting is given up when the platform leaves meanwhile", async () => {
  await using pair = await streamPair();
  const dialing = Promise.withResolvers<AbortSignal>();
  const result = forwardTcp(
    pair.server,
    route("tcp", { host: HOST, port: 1 }),
    context({
      dial: (_host, _port, { signal } = {}) =>
        new Promise((_resolve, reject) => {
          dialing.resolve(signal!);
          signal!.addEventListener("abort", () => reject(signal!.reason));
        }),
    }),
  );
  await dialing.promise;
  pair.socket.resetAndDestroy();
  await assert.rejects(result, { code: "ssh-closed" });
});

Deno.test("what the platform sends before the target has answered is kept", async () => {
  await using target = await tcpTarget((socket) => socket.pipe(socket));
  await using pair = await streamPair();
  pair.client.end("early");
  await once(pair.server, "readable");
  const answer = text(pair.client);
  await forwardTcp(pair.server, route("tcp", { host: HOST, port: target.port }), context());
  assert.equal(await answer, "early");
  await ended(pair.client);
});
