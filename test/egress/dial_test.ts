import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { dial, dialer, interleave } from "../../src/egress/dial.ts";
import { SallyportError } from "../../src/errors.ts";

async function listener(
  host: string,
  serve: (socket: Socket) => void = (s) => s.resume().on("end", () => s.end()),
) {
  const server = createServer({ allowHalfOpen: true }, serve);
  server.listen(0, host);
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
