/** Gateways at the relay: who may log in, and what becomes of the older session of one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { SallyportError } from "../../src/errors.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import { captureLog } from "../captured_log.ts";
import { forwarder } from "../forwarder.ts";
import {
  Authorities,
  Client,
  connectGateway,
  dial,
  type GatewayOptions,
  HOST,
  startFixture,
} from "./fixture.ts";

const HOUR = 3_600_000;

Deno.test("a newer session gets new channels at once; the older keeps its own, then is closed", async () => {
  await using fixture = await startFixture();
  const older = await connectGateway(fixture, "older");
  const keys = await fixture.authorities.client();
  const first = new Client(fixture, keys);
  await first.ask("a", "older:a");
  const newer = await connectGateway(fixture, "newer");
  const second = new Client(fixture, keys);
  await second.ask("b", "newer:b");
  await first.ask("c", "older:c");
  assert.equal(fixture.relay.registry.size, 1);
  await first.close();
  const reason = await older.session.closed;
  assert.match(reason!.message, /disconnected/);
  await second.ask("d", "newer:d");
  assert.equal(fixture.relay.registry.size, 1, "the older's end must not take the newer's place");
  await second.close();
  await Promise.all([older.close(), newer.close()]);
});

Deno.test("an older session without streams is closed as soon as a newer one is there", async () => {
  await using fixture = await startFixture();
  const older = await connectGateway(fixture, "older");
  const newer = await connectGateway(fixture, "newer");
  await older.session.closed;
  await Promise.all([older.close(), newer.close()]);
});

Deno.test("a dead predecessor is replaced at once, for clients that already wait as well", async () => {
  await using fixture = await startFixture();
  const line = await forwarder(fixture.relay.ssh);
  const dead = await connectGateway(fixture, "dead", { host: "127.0.0.1", port: line.port });
  line.cut();
  const started = performance.now();
  const waiting = new Client(fixture, await fixture.authorities.client());
  await once(waiting.tls, "secureConnect");
  const answered = waiting.ask("a", "alive:a");
  const alive = await connectGateway(fixture, "alive");
  await answered;
  assert.ok(performance.now() - started < 5_000, "it waited for the dead one");
  assert.equal(dead.channels.length, 0);
  await waiting.close();
  await line.close();
  await Promise.all([dead.close(), alive.close()]);
});

Deno.test("the real gateway's old list is accepted, and said so once a session; ours is not old", async () => {
  using log = captureLog();
  await using fixture = await startFixture();
  const ours = await connectGateway(fixture, "ours");
  await ours.session.ping();
  const algorithms = {
    ...ALGORITHMS,
    kex: ["diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256"],
    cipher: ["aes128-ctr", "aes192-ctr", "aes256-ctr"],
    mac: ["hmac-sha2-256", "hmac-sha2-512"],
  };
  const real = await connectGateway(fixture, "real", { algorithms });
  await log.line(
    /gateway \S+ \(SSH-2\.0-sallyport_\S+\) has an old list, which is accepted: diffie-hellman-group16-sha512, hmac-sha2-256/,
  );
  real.session.rekey();
  await real.session.ping();
  assert.equal(log.lines.filter((line) => line.includes("has an old list")).length, 1);
  await Promise.all([ours.close(), real.close()]);
});

const REFUSED: Record<string, { options: () => Promise<GatewayOptions>; why: RegExp }> = {
  "of another authority": {
    options: async () => ({ authorities: await Authorities.create() }),
    why: /authority/,
  },
  "for another relay": {
    options: () => Promise.resolve({ user: { keyId: "client-r2" } }),
    why: /"client-r2" is for another relay; this one is "client-r1"/,
  },
  "that has expired": {
    options: () => Promise.resolve({ user: { validBefore: new Date(Date.now() - HOUR / 2) } }),
    why: /expired|no longer|until/,
  },
  "of host type": {
    options: () => Promise.resolve({ user: { certType: "host" } }),
    why: /host certificate/,
  },
  "whose first principal is another gateway": {
    options: () =>
      Promise.resolve({ user: { principals: ["other", "11111111-1111-4111-8111-111111111111"] } }),
    why: /is for other/,
  },
};

for (const [what, { options, why }] of Object.entries(REFUSED)) {
  Deno.test(`a gateway with a certificate ${what} is refused, logged and not registered`, async () => {
    using log = captureLog();
    await using fixture = await startFixture();
    await assert.rejects(
      connectGateway(fixture, "edge", await options()),
      (error) => error instanceof SallyportError && error.code === "ssh-authentication",
    );
    assert.match(await log.line(/WARN +relay: gateway at .* refused/), why);
    await log.line(/ended before login/);
    assert.deepEqual(fixture.relay.registry.gatewayIds, []);
  });
}

Deno.test("a login that takes too long is cut off; whoever is through is not", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: { loginTimeout: 300 } });
  const gateway = await connectGateway(fixture, "edge");
  const silent = await dial(HOST, fixture.relay.ssh.port);
  silent.resume();
  await once(silent, "close");
  await log.line(/ended before login: it took longer than 300 ms/);
  const client = new Client(fixture, await fixture.authorities.client());
  await client.ask("a", "edge:a");
  await client.close();
  await gateway.close();
});

Deno.test("of too many logins the oldest is cut off, and an honest gateway gets through", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: { maxUnauthenticated: 2 } });
  const first = (await dial(HOST, fixture.relay.ssh.port)).resume();
  const second = (await dial(HOST, fixture.relay.ssh.port)).resume();
  const cut = once(first, "close");
  const gateway = await connectGateway(fixture, "edge");
  await cut;
  await log.line(/ended before login: 2 others wait as well/);
  assert.equal(second.destroyed, false);
  second.destroy();
  await gateway.close();
});
