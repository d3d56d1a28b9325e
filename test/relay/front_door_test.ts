/** The TLS door: who gets in, and what the others get. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { captureLog } from "../captured_log.ts";
import { type Identity, SERVER_AUTH } from "../channel/pki.ts";
import {
  Authorities,
  Client,
  connectGateway,
  dial,
  HOST,
  relayClient,
  type RelayFixture,
  startFixture,
} from "./fixture.ts";

const HOUR = 3_600_000;
const VERSIONS = ["TLSv1.3", "TLSv1.2"] as const;

/** Who must never get in. The trap of protocol.md: no requirement may ever skip these. */
const STRANGERS: Record<string, (authorities: Authorities) => Promise<Identity | undefined>> = {
  "of a foreign authority": async () => (await Authorities.create()).client(),
  "that signed itself": ({ pki }) => pki.selfSigned({ subject: relayClient("gw") }),
  "that has expired": (authorities) =>
    authorities.client({
      notBefore: new Date(Date.now() - 2 * HOUR),
      notAfter: new Date(Date.now() - HOUR),
    }),
  "of a server": (authorities) => authorities.client({ usage: SERVER_AUTH }),
  "that is absent": () => Promise.resolve(undefined),
};

for (const version of VERSIONS) {
  for (const [whose, keys] of Object.entries(STRANGERS)) {
    Deno.test(`a client certificate ${whose} opens nothing, over ${version}`, async () => {
      using log = captureLog("debug");
      await using fixture = await startFixture();
      const gateway = await connectGateway(fixture, "edge");
      const stranger = new Client(fixture, await keys(fixture.authorities), {
        minVersion: version,
        maxVersion: version,
      });
      await assert.rejects(stranger.ask("let me in", "edge:"), /^Error: ended by/);
      await stranger.close();
      await log.line(/a client's certificate is refused|TLS handshake failed/);
      await wellKnownIsServed(fixture);
      assert.equal(stranger.received, "");
      // The one channel is the honest client's.
      assert.equal(gateway.channels.length, 1);
      await gateway.close();
    });
  }
}

async function wellKnownIsServed(fixture: RelayFixture): Promise<void> {
  const client = new Client(fixture, await fixture.authorities.client());
  await client.ask("hello", "edge:hello");
  await client.close();
}

const NOT_THERE = {
  "of the platform's reachability check": "00000000-0000-0000-0000-000000000000",
  "for a gateway that is not connected": "22222222-2222-4222-8222-222222222222",
  "meant for the gateway itself": "platform:11111111-1111-4111-8111-111111111111",
};

for (const version of VERSIONS) {
  for (const [whose, gatewayId] of Object.entries(NOT_THERE)) {
    Deno.test(`a certificate ${whose} is closed cleanly, over ${version}`, async () => {
      using log = captureLog();
      await using fixture = await startFixture();
      const gateway = await connectGateway(fixture, "edge");
      const keys = await fixture.authorities.client({ subject: relayClient(gatewayId) });
      const client = new Client(fixture, keys, { minVersion: version, maxVersion: version });
      assert.equal(await client.outcome, "end");
      client.tls.end();
      await client.closed;
      assert.equal(client.received, "");
      assert.equal(gateway.channels.length, 0);
      const asked = log.lines.filter((line) => line.includes("which is not connected"));
      assert.equal(asked.length, gatewayId.startsWith("00000000-") ? 0 : 1);
      await gateway.close();
    });
  }
}

Deno.test("a handshake that takes too long is cut off; whoever is through is not", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: { handshakeTimeout: 300 } });
  const gateway = await connectGateway(fixture, "edge");
  const client = new Client(fixture, await fixture.authorities.client());
  await client.ask("hello", "edge:hello");
  const silent = await dial(HOST, fixture.relay.tls.port);
  silent.resume();
  const slow = await dial(HOST, fixture.relay.tls.port);
  slow.resume();
  slow.write(new Uint8Array([22, 3, 1, 2, 0]));
  await Promise.all([once(silent, "close"), once(slow, "close")]);
  await log.line(/cut off during its TLS handshake: it took longer than 300 ms/);
  await client.ask("still there", "edge:still there");
  await client.close();
  await gateway.close();
});

Deno.test("of too many handshakes the oldest is cut off, and an honest client gets through", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: { maxUnauthenticated: 2 } });
  const gateway = await connectGateway(fixture, "edge");
  const waiting = [];
  for (let i = 0; i < 2; i++) waiting.push(await dial(HOST, fixture.relay.tls.port));
  const [first, second] = waiting.map((socket) => socket.resume());
  const cut = once(first!, "close");
  await wellKnownIsServed(fixture);
  await cut;
  await log.line(/cut off during its TLS handshake: 2 others wait as well/);
  assert.equal(second!.destroyed, false);
  second!.destroy();
  await gateway.close();
});

Deno.test("what is not TLS is closed", async () => {
  using log = captureLog("debug");
  await using fixture = await startFixture();
  const socket = await dial(HOST, fixture.relay.tls.port);
  socket.resume();
  socket.write("GET / HTTP/1.1\r\n\r\n");
  socket.end();
  await once(socket, "close");
  await log.line(/TLS handshake failed/);
});

Deno.test("a half-close passes through in both directions", async () => {
  await using fixture = await startFixture();
  const gateway = await connectGateway(fixture, "edge", {
    onChannel: (channel) => {
      let size = 0;
      channel.on("data", (chunk) => size += chunk.length);
      channel.on("end", () => channel.end(`got ${size}`));
    },
  });
  const client = new Client(fixture, await fixture.authorities.client());
  client.tls.end("x".repeat(100_000));
  assert.equal(await client.outcome, "end");
  assert.equal(client.received, "got 100000");
  await client.closed;
  await gateway.close();
});

Deno.test("a client that breaks off ends its channel, and a channel that breaks off its client", async () => {
  using log = captureLog("debug");
  await using fixture = await startFixture();
  const gateway = await connectGateway(fixture, "edge");
  const leaver = new Client(fixture, await fixture.authorities.client());
  await leaver.ask("hello", "edge:hello");
  const closed = once(gateway.channels[0]!, "close");
  await leaver.close();
  await closed;
  const left = new Client(fixture, await fixture.authorities.client());
  await left.ask("hello", "edge:hello");
  gateway.channels[1]!.destroy();
  await log.line(/channel .* broke: /);
  await left.outcome;
  await left.close();
  await gateway.close();
});
