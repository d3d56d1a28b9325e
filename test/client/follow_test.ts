/** One connection can be followed through the logs of all who carry it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { startConnect } from "../../src/client/connect.ts";
import { captureLog } from "../captured_log.ts";
import { startTestGateway, startTestRelay } from "../interop/lab_system.ts";
import { ownPlatform } from "../interop/own_platform.ts";

const HOST = "127.0.48.41";

Deno.test("relay and gateway call a channel the same, and the client's port names it at the relay", async () => {
  using log = captureLog("debug");
  await using stack = new AsyncDisposableStack();
  const platform = stack.use(await ownPlatform("ecdsa", HOST));
  stack.use(await startTestRelay("ours", platform, HOST));
  stack.use(await startTestGateway("ours", platform));
  const target = createServer((socket) => void socket.pipe(socket)).listen(0, HOST);
  stack.defer(() => void target.close());
  await once(target, "listening");
  const { port } = target.address() as AddressInfo;
  const stop = new AbortController();
  const { address, finished } = await startConnect({
    listen: { host: HOST, port: 0 },
    grant: () => platform.grant(HOST, port),
  }, stop.signal);
  stack.defer(async () => {
    stop.abort();
    await finished;
  });
  for (let i = 0; i < 3; i++) {
    const socket = connect(address.port, address.host);
    socket.resume().end(`bytes of ${i}`);
    await once(socket, "close");
  }
  const names = new Set<string>();
  for (let id = 1; id <= 3; id++) {
    const ours = await log.line(new RegExp(`connection ${id} goes to the relay from`));
    const from = ours.split(" ").at(-1)!.replaceAll(".", "\\.");
    const theirs = await log.line(new RegExp(`relay: channel \\S+ open: from ${from} to gateway`));
    const [, name] = /relay: channel ([0-9a-f]{8}-\d+) /.exec(theirs)!;
    await log.line(new RegExp(`channel: channel ${name} open: tcp to ${HOST}:${port}`));
    await log.line(new RegExp(`channel: channel ${name} closed: 10 bytes in`));
    await log.line(new RegExp(`relay: channel ${name} closed: `));
    names.add(name!);
  }
  assert.equal(names.size, 3);
});
