/** Real proxies on loopback, and a service behind them that says who it is. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { dialer } from "../../src/egress/dial.ts";
import { proxiedDialer } from "../../src/egress/proxy.ts";
import { connectOnce } from "../../src/link/connect_once.ts";
import { SmallRelay } from "../link/small_relay.ts";

interface Listening {
  port: number;
  sockets: Set<Socket>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Greets, and gives back what it hears. */
const service = () =>
  listen(createServer({ allowHalfOpen: true }, (socket) => {
    socket.write("hello ");
    socket.pipe(socket);
  }));

function join(near: Socket, port: number, ready: () => void): void {
  const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true }, ready);
  far.on("error", () => near.destroy());
  near.on("error", () => far.destroy());
  near.on("close", () => far.destroy());
  near.pipe(far).pipe(near);
}

/** A proxy for CONNECT that notes what it is asked for. */
async function httpProxy(answer: (authorization: string | undefined) => number = () => 200) {
  const asked: string[] = [];
  const server = createHttpServer();
  server.on("connect", (request, socket: Socket) => {
    asked.push(request.url!);
    const status = answer(request.headers["proxy-authorization"]);
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    join(socket, Number(request.url!.split(":").at(-1)), () => {
      socket.write("HTTP/1.1 200 OK\r\nX: y\r\n\r\n");
    });
  });
  return Object.assign(await listen(server), { asked });
}

/**
 * As much of RFC 1928 and RFC 1929 as a CONNECT by name with a password takes.
 * @param together greets in the same breath as it grants the connection, and is then silent
 */
async function socksProxy(wanted?: string, { together = false } = {}) {
  const asked: string[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let step = 0;
    socket.on("data", (data: Buffer) => {
      if (step === 0) {
        step = wanted === undefined ? 2 : 1;
        return void socket.write(Uint8Array.of(5, wanted === undefined ? 0 : 2));
      }
      if (step === 1) {
        const user = data.toString("utf8", 2, 2 + data[1]!);
        const password = data.toString("utf8", 3 + data[1]!);
        step = 2;
        return void socket.write(Uint8Array.of(1, `${user}:${password}` === wanted ? 0 : 1));
      }
      socket.removeAllListeners("data");
      const length = data[4]!;
      const host = data[3] === 3
        ? data.toString("utf8", 5, 5 + length)
        : data[3] === 1
        ? data.subarray(4, 8).join(".")
        : data.toString("hex", 4, 20);
      const port = data.readUInt16BE(data.length - 2);
      asked.push(`${host}:${port}`);
      const granted = Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
      if (together) return void socket.write(Buffer.concat([granted, Buffer.from("hello ")]));
      join(socket, port, () => socket.write(granted));
    });
  });
  return Object.assign(await listen(server), { asked });
}

const direct = dialer("relay-unreachable", "relay");
const through = (env: Record<string, string>) => proxiedDialer(direct, env);

/** What comes back for "you", with the greeting before it. */
async function talk(socket: Socket): Promise<string> {
  let heard = "";
  socket.on("data", (chunk: Buffer) => heard += chunk.toString());
  socket.resume();
  socket.end("you");
  await once(socket, "end");
  socket.destroy();
  return heard;
}

Deno.test("a connection goes through an HTTP proxy, by name, and not one byte is lost", async () => {
  await using target = await service();
  await using proxy = await httpProxy();
  const dial = through({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  assert.equal(await talk(await dial("localhost", target.port)), "hello you");
  assert.deepEqual(proxy.asked, [`localhost:${target.port}`]);
});

Deno.test("an HTTP proxy is given the user and password of its URL", async () => {
  await using target = await service();
  const right = `Basic ${btoa("user:pass:word")}`;
  await using proxy = await httpProxy((given) => given === right ? 200 : 407);
  const at = `127.0.0.1:${proxy.port}`;
  const dial = through({ HTTPS_PROXY: `http://user:pass%3Aword@${at}` });
  assert.equal(await talk(await dial("127.0.0.1", target.port)), "hello you");
});

Deno.test("a connection goes through a SOCKS5 proxy, with and without a password", async () => {
  await using target = await service();
  for (const [url, wanted] of [["socks5://", undefined], ["socks5://u:p@", "u:p"]] as const) {
    await using proxy = await socksProxy(wanted);
    const dial = through({ ALL_PROXY: `${url}127.0.0.1:${proxy.port}` });
    assert.equal(await talk(await dial("localhost", target.port)), "hello you");
    assert.deepEqual(proxy.asked, [`localhost:${target.port}`]);
  }
});

Deno.test("what comes right behind a proxy's answer waits for a reader who comes later", async () => {
  await using socks5 = await socksProxy(undefined, { together: true });
  await using http = await listen(createServer((socket) => {
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nhello "));
  }));
  for (const url of [`socks5://127.0.0.1:${socks5.port}`, `http://127.0.0.1:${http.port}`]) {
    const socket = await through({ ALL_PROXY: url })("localhost", 1);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    const lost = setTimeout(() => socket.destroy(new Error("it was lost")), 2_000);
    const [chunk] = await once(socket.resume(), "data");
    clearTimeout(lost);
    assert.equal(String(chunk), "hello ");
    socket.destroy();
  }
});

Deno.test("an SSH session goes through either proxy", async () => {
  await using relay = await SmallRelay.start();
  await using http = await httpProxy();
  await using socks5 = await socksProxy();
  for (const url of [`http://127.0.0.1:${http.port}`, `socks5://127.0.0.1:${socks5.port}`]) {
    const session = await connectOnce({
      registered: await relay.registered(),
      dial: through({ ALL_PROXY: url }),
      onChannel: (channel) => channel.destroy(),
      timeout: 5_000,
    }, new AbortController().signal);
    assert.ok(await session.ping() >= 0);
    session.close();
    await session.closed;
  }
});

Deno.test("a SOCKS5 proxy is asked for an address as an address, in whatever spelling", async () => {
  await using proxy = await socksProxy(undefined, { together: true });
  const dial = through({ ALL_PROXY: `socks5://127.0.0.1:${proxy.port}` });
  for (
    const [host, asked] of [
      ["10.1.2.3", "10.1.2.3"],
      ["::1", "00000000000000000000000000000001"],
      ["[2001:DB8::a:0:b]", "20010db8000000000000000a0000000b"],
      ["::ffff:10.1.2.3", "00000000000000000000ffff0a010203"],
      ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
      ["fe80::1%eth0", "fe800000000000000000000000000001"],
      ["name.example", "name.example"],
    ]
  ) {
    (await dial(host!, 258)).destroy();
    assert.equal(proxy.asked.pop(), `${asked}:258`);
  }
});

Deno.test("a SOCKS5 proxy that refuses is named with its reason", async () => {
  const table: [number[][], RegExp][] = [
    [[[5, 255]], /it wants a user name and password/],
    [[[5, 0], [5, 2, 0, 1, 0, 0, 0, 0, 0, 0]], /its rules do not allow the connection/],
    [[[5, 0], [5, 77]], /it answers 77/],
    [[[4, 90]], /its answer is not SOCKS5/],
  ];
  for (const [answers, says] of table) {
    const left = [...answers];
    await using proxy = await listen(createServer((socket) => {
      socket.on("data", () => void socket.write(Uint8Array.from(left.shift() ?? [])));
    }));
    const dial = through({ ALL_PROXY: `socks5://127.0.0.1:${proxy.port}` });
    await assert.rejects(dial("127.0.0.1", 1), { code: "relay-unreachable", message: says });
  }
});

Deno.test("what NO_PROXY names goes directly", async () => {
  await using target = await service();
  await using proxy = await httpProxy();
  const dial = through({ HTTPS_PROXY: `127.0.0.1:${proxy.port}`, NO_PROXY: "127.0.0.0/8" });
  assert.equal(await talk(await dial("127.0.0.1", target.port)), "hello you");
  assert.deepEqual(proxy.asked, []);
});

Deno.test("a proxy that refuses the port is passed by, and named if that fails as well", async () => {
  await using target = await service();
  await using proxy = await httpProxy(() => 403);
  const dial = through({ HTTPS_PROXY: `http://user:hunter2@127.0.0.1:${proxy.port}` });
  assert.equal(await talk(await dial("127.0.0.1", target.port)), "hello you");
  const { port } = target;
  await target[Symbol.asyncDispose]().catch(() => {});
  await assert.rejects(dial("127.0.0.1", port), (error: Error & { code: string }) => {
    assert.equal(error.code, "relay-unreachable");
    assert.match(error.message, /proxy 127\.0\.0\.1:\d+: it answers 403.*connection refused/);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});

Deno.test("a proxy that is not there is named", async () => {
  await using target = await service();
  const gone = await httpProxy();
  await gone[Symbol.asyncDispose]();
  const dial = through({ HTTPS_PROXY: `127.0.0.1:${gone.port}` });
  await assert.rejects(dial("127.0.0.1", target.port), {
    code: "relay-unreachable",
    message: /proxy 127\.0\.0\.1:\d+: .*connection refused/,
  });
});

Deno.test("a proxy that says nothing, or nonsense, does not hold the connection up", async () => {
  await using target = await service();
  await using silent = await listen(createServer(() => {}));
  await using babbler = await listen(createServer((socket) => socket.end("220 ftp\r\n\r\n")));
  for (const { port } of [silent, babbler]) {
    const dial = through({ HTTPS_PROXY: `127.0.0.1:${port}` });
    const socket = await dial("127.0.0.1", target.port, { timeout: 200 });
    assert.equal(await talk(socket), "hello you");
  }
});

Deno.test("an abort ends the talk with a proxy", async () => {
  await using silent = await listen(createServer(() => {}));
  const stop = new AbortController();
  const dial = through({ HTTPS_PROXY: `127.0.0.1:${silent.port}` });
  const attempt = dial("127.0.0.1", 1, { signal: stop.signal });
  while (silent.sockets.size === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error("stop"));
  await assert.rejects(attempt, /stop/);
});
