import assert from "node:assert/strict";
import type { Auth } from "../../src/enroll/credentials.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { type GatewayOptions, startGateway } from "../../src/link/gateway.ts";
import type { LinkSnapshot } from "../../src/link/state.ts";
import { dial } from "../../src/egress/dial.ts";
import { parseRelayAddress } from "../../src/link/relay_address.ts";
import { captureLog } from "../captured_log.ts";
import { type FakeServer, fakeServer, json } from "../fake_server.ts";
import { forwarder } from "../forwarder.ts";
import { until, VirtualClock } from "../virtual_clock.ts";
import { temporaryFolder } from "../temporary.ts";
import { SmallRelay } from "./small_relay.ts";

const isUp = ({ phase }: LinkSnapshot) => phase === "up";
const byToken: Auth = { method: "token", token: secretSource("T") };

/** A platform that knows one relay and answers what a gateway asks of it. */
function platformFor(relay: SmallRelay, listed: { heartbeat?: Date } = {}): FakeServer {
  return fakeServer(async (request) => {
    switch (new URL(request.url).pathname.replace("/api", "")) {
      case "/v2/gateways":
      case "/v3/gateways/connect":
        return json(await relay.registration());
      case "/v3/gateways/token-auth/enroll":
        return json({ accessToken: "own", gatewayId: "gw-1" });
      case "/v1/relays":
        return json([{
          id: "1",
          name: "r1",
          host: relay.address,
          orgId: "o",
          heartbeat: (listed.heartbeat ?? new Date()).toISOString(),
        }]);
      default:
        return json({ message: "ok" });
    }
  });
}

async function setUp(platform: FakeServer, more: Partial<GatewayOptions> = {}) {
  const folder = await temporaryFolder();
  const stop = new AbortController();
  const gateway = await startGateway({
    name: "edge",
    domain: platform.url,
    auth: byToken,
    relayName: "r1",
    stateDir: folder.path,
    healthListen: "127.0.0.1:0",
    backoff: { base: 20, cap: 50 },
    ...more,
  }, stop.signal);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error("it did not come about")), 10_000);
  return {
    ...gateway,
    stop,
    until: (fits: (snapshot: LinkSnapshot) => boolean) => gateway.state.until(fits, late.signal),
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      stop.abort();
      await gateway.finished.catch(() => {});
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function statusOf(address: string | undefined, path: string): Promise<number> {
  const response = await fetch(`http://${address}${path}`);
  await response.body?.cancel();
  return response.status;
}

Deno.test("a gateway registers, comes up, beats its heart, is ready, and stops without a rest", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await using gateway = await setUp(platform);
  const snapshot = await gateway.until(isUp);
  assert.equal(snapshot.gatewayId, "gw-1");
  assert.deepEqual(snapshot.relay, { name: "r1", address: relay.address });
  assert.ok(snapshot.latency! > 0, "the first answer of the relay was measured");
  assert.equal(await statusOf(gateway.healthAddress, "/readyz"), 200);
  await gateway.state.until(({ heartbeat }) => heartbeat !== undefined);
  assert.deepEqual(platform.requests.map(({ path, body }) => [path, body]), [
    ["/api/v2/gateways", { name: "edge", relayName: "r1" }],
    ["/api/v2/gateways/heartbeat", { capabilities: {} }],
  ]);
  gateway.stop.abort();
  await gateway.finished;
  assert.equal(gateway.state.snapshot.phase, "down");
  await relay.sessions[0]!.closed;
  await assert.rejects(fetch(`http://${gateway.healthAddress}/healthz`));
});

Deno.test("a relay that dies is joined again, and the gateway says so meanwhile", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await using gateway = await setUp(platform);
  await gateway.until(isUp);
  for (const round of [1, 2]) {
    const down = gateway.state.until(({ phase }) => phase === "down");
    relay.kill();
    assert.equal((await down).lastError?.code, "ssh-closed");
    const { reconnects } = await gateway.until(isUp);
    assert.equal(reconnects, round);
  }
  assert.equal(platform.requests.filter(({ path }) => path === "/api/v2/gateways").length, 1);
});

Deno.test("a gateway whose token is refused ends with that error, and so does its health", async () => {
  await using platform = fakeServer(() => json({ message: "Token expired" }, 401));
  await using gateway = await setUp(platform);
  await assert.rejects(gateway.finished, { code: "credentials-refused", message: /Token expired/ });
  assert.equal(gateway.state.snapshot.lastError?.code, "credentials-refused");
  await assert.rejects(fetch(`http://${gateway.healthAddress}/healthz`));
});

Deno.test("a gateway waits for a platform that is not there yet", async () => {
  await using relay = await SmallRelay.start();
  let away = true;
  const registration = await relay.registration();
  await using platform = fakeServer(() => away ? json({}, 503) : json(registration));
  await using gateway = await setUp(platform);
  const { lastError } = await gateway.state.until((s) => s.lastError !== undefined);
  assert.equal(lastError?.code, "api-status");
  assert.equal(await statusOf(gateway.healthAddress, "/readyz"), 503);
  assert.equal(await statusOf(gateway.healthAddress, "/healthz"), 200);
  away = false;
  await gateway.until(isUp);
});

Deno.test("a health port in use is said before anything is started", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await using gateway = await setUp(platform, { healthListen: "127.0.0.1:0" });
  await assert.rejects(setUp(platform, { healthListen: gateway.healthAddress }), {
    code: "port-in-use",
  });
});

Deno.test("without a relay's name the nearest healthy one is chosen", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await using gateway = await setUp(platform, { relayName: undefined });
  const snapshot = await gateway.until(isUp);
  assert.equal(snapshot.relay?.name, "r1");
  assert.deepEqual(platform.requests[1]?.body, { name: "edge", relayName: "r1" });
});

Deno.test("an enrolled gateway needs its one-time token once", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await using folder = await temporaryFolder();
  const start = async (auth: Auth) => {
    await using gateway = await setUp(platform, { auth, stateDir: folder.path });
    await gateway.until(isUp);
  };
  await start({ method: "enroll-token", token: secretSource("once") });
  await start({ method: "enroll-token" });
  assert.deepEqual(
    platform.requests.filter(({ path }) => path.includes("/v3/"))
      .map(({ path, authorization }) => [path, authorization]),
    [
      ["/api/v3/gateways/token-auth/enroll", null],
      ["/api/v3/gateways/connect", "Bearer own"],
      ["/api/v3/gateways/connect", "Bearer own"],
    ],
  );
});

Deno.test("a gateway without a name, or with a domain that is none, does not start", async () => {
  await using relay = await SmallRelay.start();
  await using platform = platformFor(relay);
  await assert.rejects(setUp(platform, { name: " " }), { code: "usage" });
  await assert.rejects(setUp(platform, { domain: "ftp://x" }), { code: "usage" });
});

Deno.test("a relay that holds a dead connection of the gateway is asked again, calmly, until it lets go", async () => {
  let held = false;
  await using relay = await SmallRelay.start({
    onSession: (session) => held ? session.close() : held = true,
  });
  const line = await forwarder(parseRelayAddress(relay.address));
  await using platform = platformFor(relay);
  using log = captureLog();
  await using gateway = await setUp(platform, {
    keepalive: { interval: 50, timeout: 100 },
    backoff: { base: 5, cap: 10 },
    dialRelay: (_host, _port, options) => dial("127.0.0.1", line.port, options),
  });
  await gateway.until(isUp);
  line.cut();
  const { lastError } = await gateway.until((s) => s.phase === "down");
  assert.match(lastError!.message, /no sign of life for 100 ms/);
  line.reset();
  let refusals = 0;
  const leave = gateway.state.subscribe(({ phase, lastError }) => {
    if (phase === "down" && /hung up/.test(lastError!.message)) refusals++;
  });
  const refused = await gateway.until(({ lastError }) => /hung up/.test(lastError!.message));
  assert.deepEqual([refused.phase, refused.lastError!.code], ["down", "ssh-closed"]);
  assert.match(refused.lastError!.hint!, /older connection/);
  await gateway.until(() => refusals >= 20);
  held = false;
  const { reconnects } = await gateway.until(isUp);
  leave();
  assert.equal(reconnects, 1);
  assert.equal(log.lines.filter((text) => /hung up/.test(text)).length, 1);
  assert.match(await log.line(/up again/), /\(after \d\d+ failures in /);
  gateway.stop.abort();
  await gateway.finished;
  await line.close();
});

Deno.test("from an instance's relay the gateway moves to the organisation's, beside the old session", async () => {
  await using own = await SmallRelay.start();
  await using shared = await SmallRelay.start();
  const clock = new VirtualClock(Date.now());
  let healthy = false;
  await using platform: FakeServer = fakeServer(async (request, index): Promise<Response> => {
    const { relayName } = (platform.requests[index]!.body ?? {}) as { relayName?: string };
    if (relayName !== undefined) {
      return json(await (relayName === "own" ? own : shared).registration());
    }
    if (!request.url.endsWith("/relays")) return json({});
    const at = (name: string, relay: SmallRelay, orgId: string | null, fresh: boolean) => ({
      id: name,
      name,
      host: relay.address,
      orgId,
      heartbeat: new Date(clock.now() - (fresh ? 0 : 2 * 60 * 60_000)).toISOString(),
    });
    return json([at("shared", shared, null, true), at("own", own, "o", healthy)]);
  });
  await using gateway = await setUp(platform, { relayName: undefined, clock });
  const first = await gateway.until((s) => isUp(s) && s.heartbeat !== undefined);
  assert.equal(first.relay?.name, "shared");
  healthy = true;
  const moved = gateway.until(({ relay }) => relay?.name === "own");
  const looks = () => platform.requests.filter(({ path }) => path.endsWith("/relays")).length;
  for (let look = 2; look <= 4; look++) {
    assert.equal(gateway.state.snapshot.relay?.name, "shared");
    await clock.advance(5.5 * 60_000);
    // Then renewal, heartbeat, the certificates' end and the next look are waited for.
    await until(() => looks() === look && clock.sleeping >= 4, "the look is over");
  }
  const { phase, reconnects } = await moved;
  assert.deepEqual([phase, reconnects], ["up", 0]);
  await shared.sessions[0]!.closed;
  assert.equal(own.sessions.length, 1);
});
