/** `sallyport connect` through a whole system of ours: platform, relay and gateway. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startConnect } from "../../src/client/connect.ts";
import type { ConnectionGrant } from "../../src/client/stream.ts";
import { SallyportError } from "../../src/errors.ts";
import { outliveSilentEnd } from "../../src/forward/silent_end.ts";
import { captureLog } from "../captured_log.ts";
import { startTestGateway, startTestRelay, type TestPlatform } from "../interop/lab_system.ts";
import { ownPlatform } from "../interop/own_platform.ts";
import { receive, send } from "../hashed_bytes.ts";
import { openPort, startTarget } from "../interop/traffic.ts";

const HOST = "127.0.40.41";
const LOCAL = { host: "127.0.0.1", port: 0 };
const MINUTE = 60_000;
const MIB = 1024 * 1024;

interface Own extends AsyncDisposable {
  platform: TestPlatform;
  relay: AsyncDisposable;
}

async function startOwn(): Promise<Own> {
  const stack = new AsyncDisposableStack();
  try {
    const platform = stack.use(await ownPlatform("ecdsa", HOST));
    const relay = stack.use(await startTestRelay("ours", platform, HOST));
    stack.use(await startTestGateway("ours", platform));
    return { platform, relay, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

const echo = (socket: Socket) => void socket.pipe(socket);

/** Writes and waits until as much came back. */
async function echoed(socket: Socket, text: string): Promise<void> {
  let back = "";
  const all = new Promise<void>((resolve, reject) => {
    socket.on("data", (chunk: Buffer) => (back += chunk).length >= text.length && resolve());
    socket.once("close", () => reject(new Error("closed")));
  });
  socket.write(text);
  await all;
  assert.equal(back, text);
}

/** Resolves with "end" or the error's code when the connection is over. */
function over(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  socket.on("end", () => socket.destroy());
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

Deno.test("a port in use is an error with its flag, and nothing stays open", async () => {
  await using platform = await ownPlatform("ecdsa", HOST);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const stop = new AbortController();
  await assert.rejects(
    startConnect({
      listen: { host: "127.0.0.1", port },
      grant: () => Promise.resolve({} as ConnectionGrant),
    }, stop.signal),
    (error) =>
      error instanceof SallyportError && error.code === "port-in-use" &&
      /--listen/.test(error.hint ?? ""),
  );
  // A gateway that the platform does not know is an error before the port is open.
  await assert.rejects(
    startConnect({ listen: LOCAL, grant: () => platform.grant(HOST, 1) }, stop.signal),
    (error) => error instanceof SallyportError && /edge/.test(error.message),
  );
  taken.close();
  await once(taken, "close");
});

Deno.test("an aborted signal opens nothing", async () => {
  let asked = 0;
  const grant = (signal: AbortSignal) => {
    asked++;
    return signal.aborted ? Promise.reject(signal.reason) : Promise.resolve({} as ConnectionGrant);
  };
  const reason = new Error("over");
  await assert.rejects(
    startConnect({ listen: LOCAL, grant }, AbortSignal.abort(reason)),
    (error) => error === reason,
  );
  const stop = new AbortController();
  await assert.rejects(
    startConnect({
      listen: LOCAL,
      grant: () => {
        stop.abort(reason);
        return Promise.resolve({} as ConnectionGrant);
      },
    }, stop.signal),
    (error) => error === reason,
  );
  assert.ok(asked <= 1);
});

Deno.test("50 connections at once, byte for byte, and an answer after a half-close", async () => {
  await using system = await startOwn();
  await using target = await startTarget(HOST, async (socket) => {
    const seen = await receive(socket);
    socket.end(`${seen.size} ${seen.hash}`);
  });
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const socket = await local.dial();
    let answer = "";
    socket.on("data", (chunk: Buffer) => answer += chunk);
    const ended = once(socket, "end");
    const sent = await send(socket, 200_000 + i, `connection ${i}`);
    await ended;
    assert.equal(answer, `${sent.size} ${sent.hash}`);
    if (!socket.destroyed) await once(socket, "close");
  }));
});

Deno.test("a grant is asked for once by many, and anew when it is four minutes old", async () => {
  await using system = await startOwn();
  await using target = await startTarget(HOST, echo);
  let now = Date.now();
  let asked = 0;
  const stop = new AbortController();
  const { address, finished } = await startConnect({
    listen: LOCAL,
    now: () => now,
    grant: () => {
      asked++;
      return system.platform.grant(HOST, target.port);
    },
  }, stop.signal);
  const use = async () => {
    const socket = connect(address.port, address.host);
    await echoed(socket, "hello");
    await new Promise<void>((resolve) => socket.destroy().once("close", () => resolve()));
  };
  await Promise.all([use(), use(), use()]);
  now += 4 * MINUTE;
  await use();
  assert.equal(asked, 1);
  now += 1;
  await Promise.all([use(), use()]);
  assert.equal(asked, 2);
  stop.abort();
  await finished;
});

Deno.test("with the relay away a local connection is closed and the log says why", async () => {
  using log = captureLog("warn");
  await using system = await startOwn();
  await using target = await startTarget(HOST, echo);
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  const open = await local.dial();
  await echoed(open, "hello");
  const broken = over(open);
  await system.relay[Symbol.asyncDispose]();
  await broken;
  await over(await local.dial());
  await log.line(new RegExp(`client: connection \\d+ failed: .*${HOST}:8443`));
});

Deno.test("a target that the gateway cannot reach: the log says where to look", async () => {
  using log = captureLog("warn");
  await using system = await startOwn();
  const target = await startTarget(HOST, echo);
  await target[Symbol.asyncDispose]();
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  await over(await local.dial());
  await log.line(
    /client: connection 1 broke before the target sent anything .* its log says which/,
  );
});

Deno.test("a connection that breaks after an answer is not blamed on the target", async () => {
  using log = captureLog("warn");
  await using system = await startOwn();
  await using target = await startTarget(HOST, (socket) => {
    socket.once(
      "data",
      () => socket.write("hello", () => setImmediate(() => socket.resetAndDestroy())),
    );
  });
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  const socket = await local.dial();
  const gone = over(socket);
  socket.write("hello");
  await gone;
  await log.line(/client: connection 1 broke: /);
});

Deno.test("aborting ends every connection, also one that is being set up", async () => {
  await using system = await startOwn();
  await using target = await startTarget(HOST, echo);
  const stop = new AbortController();
  const { address, finished } = await startConnect({
    listen: LOCAL,
    grant: () => system.platform.grant(HOST, target.port),
  }, stop.signal);
  const open = connect(address.port, address.host);
  await echoed(open, "hello");
  const young = connect(address.port, address.host);
  await once(young, "connect");
  const gone = [over(open), over(young)];
  stop.abort();
  await finished;
  await Promise.all(gone);
  await assert.rejects(once(connect(address.port, address.host), "connect"), /refused/i);
});

/** Resolves when a socket that is written to has found no room for a while, or is gone. */
async function stalled(socket: Socket): Promise<void> {
  for (let moved = true; (moved || !socket.writableNeedDrain) && !socket.destroyed;) {
    moved = false;
    const onDrain = () => moved = true;
    socket.on("drain", onDrain);
    await new Promise((resolve) => setTimeout(resolve, 200));
    socket.off("drain", onDrain);
  }
}

// Both read late, so that all buffers are full: only writes that wait can fail.
Deno.test("a local program that ends at once without a byte gets 64 MiB that it reads late", async () => {
  await using system = await startOwn();
  const accepted = Promise.withResolvers<Socket>();
  await using target = await startTarget(HOST, accepted.resolve);
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  const socket = await local.dial();
  socket.end();
  const far = await accepted.promise;
  // Its peer, the gateway, ends without a byte too.
  outliveSilentEnd(far);
  far.resume();
  await once(far, "end");
  const sent = send(far, 64 * MIB, "out");
  await Promise.race([stalled(far), sent]);
  assert.deepEqual(await receive(socket), await sent);
});

Deno.test("a target that ends at once without a byte gets 64 MiB that it reads late", async () => {
  await using system = await startOwn();
  const accepted = Promise.withResolvers<Socket>();
  await using target = await startTarget(HOST, accepted.resolve);
  await using local = await openPort(() => system.platform.grant(HOST, target.port));
  const socket = await local.dial();
  outliveSilentEnd(socket);
  const far = await accepted.promise;
  far.end();
  socket.resume();
  await once(socket, "end");
  const sent = send(socket, 64 * MIB, "in");
  await Promise.race([stalled(socket), sent]);
  assert.deepEqual(await receive(far), await sent);
});
