/** Certificates that are renewed under traffic, through all real layers; only the gateway's clock is turned. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { StreamOpener } from "../../src/client/stream.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { platform } from "../platform/fixture.ts";
import { temporaryFolder } from "../temporary.ts";
import { settle, VirtualClock } from "../virtual_clock.ts";

const HOST = "127.0.0.1";
const HOUR = 3_600_000;

/** Echoes until its client ends. */
async function echo() {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.pipe(socket);
    socket.on("error", () => {});
  });
  server.listen(0, HOST);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function next(stream: { once(event: "data", listener: (chunk: Buffer) => void): unknown }) {
  return await new Promise<string>((resolve) => {
    stream.once("data", (chunk) => resolve(chunk.toString()));
  });
}

Deno.test("a stream in flight goes on across a rotation against our relay, and new ones find the new session", async () => {
  await using folder = await temporaryFolder();
  await using target = await echo();
  await using p = await platform({ lives: { leaf: 48 * HOUR, client: 48 * HOUR } });
  const stop = new AbortController();
  const clock = new VirtualClock(Date.now());
  const relay = await startRelay({
    name: "r1",
    host: HOST,
    type: "org",
    api: p.as("relay", ["relay"]),
    sshListen: { host: HOST, port: 0 },
    tlsListen: { host: HOST, port: 0 },
  }, stop.signal);
  const gateway = await startGateway({
    name: "edge",
    domain: p.url,
    auth: {
      method: "enroll-token",
      token: secretSource(p.admin.createGatewayToken({ gateway: "edge" }).token),
    },
    relayName: "r1",
    stateDir: folder.path,
    healthListen: "off",
    clock,
  }, stop.signal);
  const opener = await StreamOpener.open();
  try {
    const first = await gateway.state.until(({ phase }) => phase === "up", stop.signal);
    const id = first.gatewayId!;
    const before = relay.registry.get(id)!;
    const grant = await p.as("client", ["client"])
      .openConnection({ gateway: "edge", targetHost: HOST, targetPort: target.port });
    const inFlight = await opener.stream(grant, "infisical-tcp-proxy");
    inFlight.write("before");
    assert.equal(await next(inFlight), "before");

    const phases = new Set<string>();
    gateway.state.subscribe(({ phase }) => phases.add(phase));
    const renewed = gateway.state.until(({ certificatesEnd }) =>
      certificatesEnd!.getTime() !== first.certificatesEnd!.getTime()
    );
    await clock.advance(6 * HOUR);
    await renewed;
    while (relay.registry.get(id) === before) await settle();

    inFlight.write("after");
    assert.equal(await next(inFlight), "after", "the old session carries what it had");
    const later = await opener.stream(grant, "infisical-tcp-proxy");
    later.write("new");
    assert.equal(await next(later), "new");
    assert.deepEqual(phases, new Set(["up"]), "nobody saw a gap");
    assert.equal(gateway.state.snapshot.reconnects, 0);

    inFlight.end();
    await once(inFlight, "end");
    await clock.advance(2000);
    await before.closed;
    later.write("still");
    assert.equal(await next(later), "still", "the old session's end is not the new one's");
    later.end();
    await once(later, "end");
  } finally {
    opener.close();
    stop.abort();
    await clock.advance(HOUR);
    await Promise.all([gateway.finished, relay.finished]);
  }
});
