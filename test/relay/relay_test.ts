/** A relay's life: its ports, its certificates and its end. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { SallyportError } from "../../src/errors.ts";
import { captureLog } from "../captured_log.ts";
import { VirtualClock } from "../virtual_clock.ts";
import { Authorities, Client, connectGateway, dial, HOST, startFixture } from "./fixture.ts";

const MINUTE = 60_000;

for (const [setting, flag] of [["sshListen", "--ssh-listen"], ["tlsListen", "--tls-listen"]]) {
  Deno.test(`a port in use is named with ${flag}, and nothing stays open`, async () => {
    const taken = createServer().listen(0, HOST);
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    await assert.rejects(startFixture({ [setting!]: { host: HOST, port } }), (error) => {
      assert.ok(error instanceof SallyportError);
      assert.equal(error.code, "port-in-use");
      assert.equal(error.message, `${HOST}:${port} is already in use by another program`);
      assert.match(error.hint!, new RegExp(flag!));
      return true;
    });
    taken.close();
    await once(taken, "close");
  });
}

Deno.test("stopping closes gateways, streams, and connections that are not through", async () => {
  const fixture = await startFixture();
  const gateway = await connectGateway(fixture, "edge");
  const client = new Client(fixture, await fixture.authorities.client());
  await client.ask("a", "edge:a");
  const { ssh, tls } = fixture.relay;
  const waiting = [];
  for (const { port } of [ssh, tls]) waiting.push((await dial(HOST, port)).resume());
  const gone = waiting.map((socket) => once(socket, "close"));
  await fixture.stop();
  await Promise.all([...gone, gateway.session.closed, client.outcome]);
  await Promise.all([client.close(), gateway.close()]);
  for (const { port } of [ssh, tls]) await assert.rejects(dial(HOST, port), /ECONNREFUSED|refused/);
});

Deno.test("renewal gives new connections new keys and leaves the others alone", async () => {
  using log = captureLog();
  const clock = new VirtualClock(Date.now());
  await using fixture = await startFixture({ clock });
  const { authorities } = fixture;
  const gateway = await connectGateway(fixture, "edge");
  const before = new Client(fixture, await authorities.client());
  await before.ask("a", "edge:a");
  const newer = await Authorities.create();
  fixture.next = undefined;
  await clock.advance(21 * MINUTE);
  await log.line(/certificates not renewed: the platform is away/);
  fixture.next = newer;
  await clock.advance(MINUTE);
  await log.line(/certificates renewed/);
  const after = new Client(fixture, await newer.client());
  await after.ask("b", "edge:b");
  const stale = new Client(fixture, await authorities.client());
  await stale.outcome;
  assert.equal(stale.received, "");
  await before.ask("c", "edge:c");
  await Promise.all([before.close(), after.close(), stale.close()]);
  await gateway.close();
});
