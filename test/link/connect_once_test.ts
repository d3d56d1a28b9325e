import assert from "node:assert/strict";
import { dialer } from "../../src/egress/dial.ts";
import { connectOnce } from "../../src/link/connect_once.ts";
import type { Registered } from "../../src/link/register.ts";
import { SmallRelay } from "./small_relay.ts";

const dial = dialer("relay-unreachable", "relay");
const never = new AbortController().signal;

function attempt(registered: Registered, more: { timeout?: number; signal?: AbortSignal } = {}) {
  const { timeout, signal = never } = more;
  return connectOnce({ registered, dial, timeout, onChannel: (c) => c.destroy() }, signal);
}

Deno.test("an attempt ends with a session that answers, and closes without a rest", async () => {
  await using relay = await SmallRelay.start();
  const session = await attempt(await relay.registered());
  assert.ok(await session.ping() >= 0);
  session.close();
  assert.equal(await session.closed, undefined);
  assert.ok(await relay.sessions[0]!.closed);
});

Deno.test("a host certificate may name the host alone, but no other host", async () => {
  await using host = await SmallRelay.start({ principal: "127.0.0.1" });
  (await attempt(await host.registered())).close();
  await using other = await SmallRelay.start({ principal: "127.0.0.1:2222" });
  await assert.rejects(attempt(await other.registered()), { code: "certificate-principal" });
});

Deno.test("a relay that nobody listens on is unreachable", async () => {
  await using relay = await SmallRelay.start();
  const registered = await relay.registered();
  const address = { host: "127.0.0.1", port: 58999 };
  await assert.rejects(attempt({ ...registered, address }), {
    code: "relay-unreachable",
    message: "relay 127.0.0.1:58999: connection refused",
  });
});

Deno.test("a relay that says nothing is given up, and hears of it", async () => {
  const ended = Promise.withResolvers<unknown>();
  await using relay = await SmallRelay.start({
    onSocket: (socket) => socket.on("end", ended.resolve).resume(),
  });
  await assert.rejects(attempt(await relay.registered(), { timeout: 100 }), {
    code: "timeout",
    message: /no SSH session within 100 ms/,
  });
  await ended.promise;
});

Deno.test("a relay that hangs up, or speaks something else, fails the attempt", async () => {
  await using silent = await SmallRelay.start({ onSocket: (socket) => socket.end() });
  await assert.rejects(attempt(await silent.registered()), { code: "ssh-closed" });
  await using http = await SmallRelay.start({
    onSocket: (socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
  });
  await assert.rejects(attempt(await http.registered()), (error: { code: string }) => {
    return error.code === "ssh-protocol" || error.code === "ssh-closed";
  });
});

Deno.test("a relay that authenticates and then hangs up is told apart from a tunnel", async () => {
  await using relay = await SmallRelay.start({ onSession: (session) => session.close() });
  await assert.rejects(attempt(await relay.registered()), {
    code: "ssh-closed",
    message: /accepted this gateway and hung up/,
    hint: /older connection/,
  });
});

Deno.test("a certificate for another relay is refused as such", async () => {
  await using relay = await SmallRelay.start();
  await assert.rejects(attempt(await relay.registered({ keyId: "client-r2" })), {
    code: "ssh-authentication",
  });
});

Deno.test("an attempt ends with its signal, before and in the middle", async () => {
  await using relay = await SmallRelay.start({ onSocket: (socket) => socket.resume() });
  const registered = await relay.registered();
  const aborted = AbortSignal.abort(new Error("stop"));
  await assert.rejects(attempt(registered, { signal: aborted }), { message: "stop" });
  const stop = new AbortController();
  const connecting = attempt(registered, { signal: stop.signal });
  stop.abort(new Error("stop"));
  await assert.rejects(connecting, { message: "stop" });
});
