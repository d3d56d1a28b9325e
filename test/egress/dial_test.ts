import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { dial, dialer, interleave } from "../../src/egress/dial.ts";
import { SallyportError } from "../../src/errors.ts";

async function listener(
  host: string,
  serve: (socket: Socket) => void = (s) => s.resume().on("end", () => s.end()),
  wanted = 0,
) {
  const server = createServer({ allowHalfOpen: true }, serve);
  server.listen(wanted, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

/** An address that answers nobody any more: what may wait to be accepted there is waiting already. */
async function silence(host: string, port: number): Promise<Disposable> {
  const full = Deno.listen({ hostname: host, port, tcpBacklog: 1 } as Deno.TcpListenOptions);
  const waiting = await Promise.all([1, 2].map(() => dial(host, port)));
  return {
    [Symbol.dispose]() {
      for (const socket of waiting) socket.destroy();
      full.close();
    },
  };
}

async function destroyed(socket: Socket): Promise<void> {
  socket.destroy();
  await once(socket, "close");
}

Deno.test("a half-closed connection still brings the answer", async () => {
  await using target = await listener("127.0.50.2", (socket) => {
    let count = 0;
    socket.on("data", (chunk) => count += chunk.length);
    socket.on("end", () => socket.end(String(count)));
  });
  const socket = await dial("127.0.50.2", target.port);
  socket.end("12345");
  const [answer] = await once(socket, "data");
  assert.equal(String(answer), "5");
  await destroyed(socket);
});

Deno.test("an IPv6 address may stand in brackets", async () => {
  await using target = await listener("::1");
  for (const host of ["::1", "[::1]"]) await destroyed(await dial(host, target.port));
});

Deno.test("a name is tried at all its addresses: one family refuses, the other answers", async () => {
  await using four = await listener("127.0.0.1");
  await destroyed(await dial("localhost", four.port));
});

Deno.test("a name's addresses are all tried, one that is silent is not waited for, and they are looked up each time", async () => {
  await using before = await listener("127.0.42.5");
  using _silent = await silence("127.0.42.8", before.port);
  // One that is silent, two that refuse.
  let records = ["127.0.42.8", "::1", "127.0.42.6", "127.0.42.5"];
  const asked: string[] = [];
  const relay = dialer("relay-unreachable", "relay", (host) => {
    asked.push(host);
    return Promise.resolve(records);
  });
  const started = performance.now();
  const socket = await relay("relay.example", before.port, { timeout: 5_000 });
  assert.equal(socket.remoteAddress, "127.0.42.5");
  assert.ok(performance.now() - started < 2_000, "it waited for the silent one");
  await destroyed(socket);
  const moved = createServer({ allowHalfOpen: true }, (s) => s.resume().on("end", () => s.end()));
  moved.listen(before.port, "127.0.42.7");
  await once(moved, "listening");
  records = ["127.0.42.7"];
  const again = await relay("relay.example", before.port);
  assert.equal(again.remoteAddress, "127.0.42.7");
  assert.deepEqual(asked, ["relay.example", "relay.example"]);
  await destroyed(again);
  moved.close();
  await once(moved, "close");
});

Deno.test("a name server that was cut off is asked afresh, and the first answer counts", async () => {
  await using target = await listener("127.0.42.5");
  let asked = 0;
  const relay = dialer("relay-unreachable", "relay", () => {
    asked++;
    if (asked === 1) return new Promise(() => {});
    return asked === 2 ? Promise.reject(new Error("EAI_AGAIN")) : Promise.resolve(["127.0.42.5"]);
  });
  await destroyed(await relay("relay.example", target.port, { again: 20, timeout: 5_000 }));
  assert.equal(asked, 3);
  const patient = dialer("relay-unreachable", "relay", () => new Promise(() => {}));
  await assert.rejects(patient("relay.example", 1, { again: 20, timeout: 50 }), {
    message: "relay relay.example:1: no answer within 50 ms",
  });
});

Deno.test("a name without an address is told", async () => {
  const relay = dialer("relay-unreachable", "relay", () => Promise.resolve([]));
  await assert.rejects(relay("relay.example", 1), {
    code: "relay-unreachable",
    message: "relay relay.example:1: its name has no address",
  });
});

Deno.test("a refused connection is told with code, name and reason", async () => {
  const target = await listener("127.0.50.2");
  await target[Symbol.asyncDispose]();
  await assert.rejects(dial("127.0.50.2", target.port), {
    code: "target-unreachable",
    message: `target 127.0.50.2:${target.port}: connection refused`,
  });
  await assert.rejects(dialer("relay-unreachable", "relay")("::1", target.port), {
    code: "relay-unreachable",
    message: `relay [::1]:${target.port}: connection refused`,
  });
});

Deno.test("a name that does not exist is told", async () => {
  await assert.rejects(dial("no-such-host.invalid", 1), {
    code: "target-unreachable",
    message: /^target no-such-host\.invalid:1: (no such host|the name server does not answer)/,
  });
});

Deno.test("a signal ends it with its reason, before it begins as well", async () => {
  const reason = new SallyportError("aborted", "the gateway is stopping");
  await assert.rejects(dial("127.0.50.2", 1, { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(dial("127.0.50.2", 1, { signal: AbortSignal.abort("enough") }), {
    code: "aborted",
    message: "connecting to target 127.0.50.2:1 was given up",
  });
});

Deno.test("families take turns, beginning with the resolver's choice", () => {
  assert.deepEqual(interleave(["::1", "::2", "::3", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
  assert.deepEqual(interleave(["1.1.1.1", "::1", "::2"]), ["1.1.1.1", "::1", "::2"]);
  assert.deepEqual(interleave([]), []);
});

/** A host that takes no connection and does not refuse one either: its queue is full. */
async function silentHost(hostname: string, port = 0) {
  const listener = Deno.listen({ hostname, port, tcpBacklog: 1 } as Deno.TcpListenOptions);
  const held: Deno.Conn[] = [];
  const address = listener.addr as Deno.NetAddr;
  for (let i = 0; i < 2; i++) held.push(await Deno.connect({ hostname, port: address.port }));
  return {
    port: address.port,
    /** From now on it takes connections. */
    wake() {
      (async () => {
        for await (const connection of listener) held.push(connection);
      })().catch(() => {});
    },
    [Symbol.dispose]() {
      listener.close();
      for (const connection of held) connection.close();
    },
  };
}

const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;
const LINUX = { ignore: Deno.build.os !== "linux" };
const elapsed = async (run: () => Promise<unknown>) => {
  const began = performance.now();
  await run();
  return performance.now() - began;
};

Deno.test({
  name: "a host that does not answer is given up after the time, and nothing stays open",
  ...LINUX,
  async fn() {
    using host = await silentHost("127.0.41.2");
    const before = openFiles();
    const took = await elapsed(() =>
      assert.rejects(dial("127.0.41.2", host.port, { timeout: 200, again: 50 }), {
        code: "target-unreachable",
        message: `target 127.0.41.2:${host.port}: no answer within 200 ms`,
      })
    );
    assert.ok(took >= 195 && took < 1_000, `${took} ms`);
    assert.equal(openFiles(), before);
    // Nor does a further round begin.
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(openFiles(), before);
  },
});

Deno.test({
  name: "a signal ends an attempt that is under way at once, and nothing stays open",
  ...LINUX,
  async fn() {
    using host = await silentHost("127.0.41.2");
    const before = openFiles();
    const stop = new AbortController();
    const reason = new SallyportError("aborted", "the gateway is stopping");
    const failed = assert.rejects(
      dial("127.0.41.2", host.port, { signal: stop.signal, again: 50 }),
      (error) => error === reason,
    );
    // Until a few attempts are under way.
    while (openFiles() < before + 3) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(await elapsed(() => (stop.abort(reason), failed)) < 1_000);
    assert.equal(openFiles(), before);
  },
});

Deno.test("a signal ends the wait for the name server as well", async () => {
  const answer = Promise.withResolvers<string[]>();
  const stop = new AbortController();
  const dialing = dialer("target-unreachable", "target", () => answer.promise)(
    "db.internal",
    5432,
    { signal: stop.signal },
  );
  stop.abort("enough");
  await assert.rejects(dialing, {
    code: "aborted",
    message: "connecting to target db.internal:5432 was given up",
  });
  answer.reject(new Error("too late to matter"));
});

Deno.test({
  name: "beside a silent address the next one is tried, and the slower one is let go",
  ...LINUX,
  async fn() {
    using silent = await silentHost("127.0.41.3");
    const accepted = Promise.withResolvers<void>();
    await using answering = await listener("127.0.41.4", (socket) => {
      socket.resume().on("end", () => socket.end());
      accepted.resolve();
    }, silent.port);
    const asked = dialer(
      "target-unreachable",
      "target",
      () => Promise.resolve(["127.0.41.3", "127.0.41.4", "127.0.41.5"]),
    );
    const before = openFiles();
    let socket: Socket | undefined;
    const took = await elapsed(async () => socket = await asked("db.internal", answering.port));
    await accepted.promise;
    assert.equal(socket?.remoteAddress, "127.0.41.4");
    assert.ok(took >= 240 && took < 1_000, `${took} ms`);
    // The connection's two ends.
    assert.equal(openFiles(), before + 2);
    await destroyed(socket!);
  },
});

Deno.test("an address that refuses is passed by at once, and all reasons are told", async () => {
  const target = await listener("127.0.41.4");
  const asked = dialer(
    "target-unreachable",
    "target",
    () => Promise.resolve(["127.0.41.3", "::1", "127.0.41.4"]),
  );
  const took = await elapsed(async () => destroyed(await asked("db.internal", target.port)));
  assert.ok(took < 450, `${took} ms`);
  await target[Symbol.asyncDispose]();
  await assert.rejects(asked("db.internal", target.port), {
    message: `target db.internal:${target.port}: connection refused`,
  });
  await assert.rejects(
    dialer("target-unreachable", "target", () => Promise.resolve([]))("db.internal", 1),
    { message: "target db.internal:1: its name has no address" },
  );
});

Deno.test({
  name: "a host that comes back is noticed sooner than the system would, with few attempts open",
  ...LINUX,
  async fn() {
    using host = await silentHost("127.0.41.2");
    const before = openFiles();
    let most = 0;
    const dialing = dial("127.0.41.2", host.port, { again: 100 });
    // The system asks after one second and after three.
    for (let i = 0; i < 12; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      most = Math.max(most, openFiles() - before);
    }
    host.wake();
    const took = await elapsed(async () => destroyed(await dialing));
    assert.ok(took < 1_200, `${took} ms`);
    assert.ok(most > 1 && most <= 4, `${most} attempts at once`);
  },
});
