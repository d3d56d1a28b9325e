/**
 * The platform away, in every way a server can be, over real HTTP and real SSH: what a gateway does at
 * its start, with its heartbeats and with its renewals. Long waits are turned by hand, each only when
 * what comes before it has happened.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { authorisedApi } from "../../src/enroll/credentials.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import type { LinkSnapshot } from "../../src/link/state.ts";
import { captureLog } from "../captured_log.ts";
import { type FakeServer, fakeServer, json } from "../fake_server.ts";
import { temporaryFolder } from "../temporary.ts";
import { until, VirtualClock } from "../virtual_clock.ts";
import { SmallRelay } from "./small_relay.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const isUp = ({ phase }: LinkSnapshot) => phase === "up";

/** How a platform can be away: an answer, or a connection that ends or stays without one. */
type Away = (() => Response) | "reset" | "silence";

const WAYS: [name: string, away: Away, code: string, says: RegExp][] = [
  ["500", () => json({ message: "boom" }, 500), "api-status", /500, boom/],
  ["502 with HTML", () => new Response("<html>", { status: 502 }), "api-status", /502/],
  ["garbage", () => new Response("\u0000{garbage"), "api-malformed", /not JSON/],
  ["another's answer", () => json({ ok: true }), "api-malformed", /gatewayId/],
  ["a reset", "reset", "api-unreachable", /POST/],
  ["silence", "silence", "api-unreachable", /no answer within 300 ms/],
  ["429", () => json({ message: "slow" }, 429), "api-rate-limited", /429, slow/],
];

/**
 * A platform behind a door: while `away` is set each new connection meets that, else it answers what a
 * gateway of `relay` needs. Connections are not kept, so that the door sees each call.
 */
async function platformOf(relay: SmallRelay, { accepts = (_token: string): boolean => true } = {}) {
  const registration = await relay.registration();
  const control = { away: undefined as Away | undefined };
  const inner: FakeServer = fakeServer((request) => {
    const { away } = control;
    const close = { connection: "close" };
    if (typeof away === "function") {
      const { status, headers, body } = away();
      return new Response(body, { status, headers: { ...Object.fromEntries(headers), ...close } });
    }
    const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
    if (!accepts(token)) return json({ message: "Token expired" }, 401, close);
    return json(request.url.endsWith("/v2/gateways") ? registration : {}, 200, close);
  });
  const sockets = new Set<Socket>();
  const door = createServer((near) => {
    sockets.add(near);
    near.on("error", () => {}).once("close", () => sockets.delete(near));
    if (control.away === "silence") return void near.resume();
    if (control.away === "reset") return void near.once("data", () => near.resetAndDestroy());
    near.pause();
    void pass(near, new URL(inner.url));
  });
  door.listen(0, "127.0.42.2");
  await once(door, "listening");
  return {
    url: `http://127.0.42.2:${(door.address() as AddressInfo).port}`,
    requests: inner.requests,
    control,
    count: (path: string) => inner.requests.filter((request) => request.path === path).length,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      door.close();
      await once(door, "close");
      await inner[Symbol.asyncDispose]();
    },
  };
}

async function pass(near: Socket, { hostname, port }: URL): Promise<void> {
  const { connect } = await import("node:net");
  const far = connect(Number(port), hostname);
  far.on("error", () => near.destroy());
  near.on("close", () => far.destroy());
  near.pipe(far).pipe(near);
}

interface SetUp {
  clock?: VirtualClock;
  token?: string;
}

async function setUp(url: string, { clock, token = "T" }: SetUp = {}) {
  const stop = new AbortController();
  const auth = { method: "token", token: secretSource(token) } as const;
  const gateway = await startGateway({
    name: "edge",
    domain: url,
    auth,
    relayName: "r1",
    stateDir: "/nonexistent",
    healthListen: "off",
    backoff: { base: 20, cap: 50 },
    api: authorisedApi(auth, { domain: url, timeout: 300, signal: stop.signal }),
    ...(clock && { clock }),
  }, stop.signal);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error("it did not come about")), 10_000);
  return {
    ...gateway,
    until: (fits: (snapshot: LinkSnapshot) => boolean) => gateway.state.until(fits, late.signal),
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      stop.abort();
      await gateway.finished.catch(() => {});
    },
  };
}

/** Heartbeat, renewal and the end of the certificates are waited for: nothing real is under way. */
const quiet = (clock: VirtualClock) => until(() => clock.sleeping === 3, "everybody waits");

for (const [name, away, code, says] of WAYS) {
  Deno.test(`start: a platform that is away (${name}) is asked again, and the status says why`, async () => {
    await using relay = await SmallRelay.start();
    await using platform = await platformOf(relay);
    platform.control.away = away;
    using log = captureLog();
    await using gateway = await setUp(platform.url);
    const { lastError, phase } = await gateway.until((s) => s.lastError !== undefined);
    assert.deepEqual([lastError!.code, phase], [code, "down"]);
    assert.match(lastError!.message, says);
    assert.match(await log.line(/trying again in/), says);
    platform.control.away = undefined;
    const up = await gateway.until(isUp);
    assert.equal(up.reconnects, 0);
    assert.match(await log.line(/tunnel is up/), /\(after \d+ failures? in /);
  });
}

Deno.test("start: a platform that says when to come back is not asked before", async () => {
  await using relay = await SmallRelay.start();
  await using platform = await platformOf(relay);
  const clock = new VirtualClock(Date.now());
  platform.control.away = () => json({}, 429, { "retry-after": "120" });
  await using gateway = await setUp(platform.url, { clock });
  await gateway.until((s) => s.lastError?.code === "api-rate-limited");
  platform.control.away = undefined;
  await clock.advance(120_000 - 1);
  assert.equal(platform.count("/api/v2/gateways"), 1);
  await clock.advance(1);
  await gateway.until(isUp);
  assert.equal(platform.count("/api/v2/gateways"), 2);
});

for (
  const [status, hint] of [
    [401, /expired or revoked: get a new one/],
    [403, /give it the role for gateways/],
  ] as const
) {
  Deno.test(`start: ${status} ends the gateway, with what to do`, async () => {
    await using relay = await SmallRelay.start();
    await using platform = await platformOf(relay);
    platform.control.away = () => json({ message: "no" }, status);
    await using gateway = await setUp(platform.url);
    await assert.rejects(gateway.finished, { code: "credentials-refused", exitCode: 3, hint });
    assert.match(gateway.state.snapshot.lastError!.hint!, hint);
  });
}

Deno.test("heartbeats: however the platform is away, the tunnel stays up, and one that is back is told", async () => {
  await using relay = await SmallRelay.start();
  await using platform = await platformOf(relay);
  const clock = new VirtualClock(Date.now());
  using log = captureLog();
  await using gateway = await setUp(platform.url, { clock });
  const { since } = await gateway.until((s) => isUp(s) && s.heartbeat !== undefined);
  const refusals: typeof WAYS = [
    ["401", () => json({}, 401), "credentials-refused", /401/],
    ["403", () => json({}, 403), "credentials-refused", /403/],
  ];
  // A heartbeat's answer has nothing in it that could be another's.
  for (
    const [name, away, code, says] of [...WAYS.filter(([n]) => !/another/.test(n)), ...refusals]
  ) {
    platform.control.away = away;
    const before = gateway.state.snapshot.lastError?.at;
    await quiet(clock);
    const failed = gateway.until(({ lastError }) =>
      lastError !== undefined && lastError.at !== before
    );
    await clock.advance(3 * MINUTE);
    const { lastError, phase } = await failed;
    assert.deepEqual([name, lastError!.code, phase], [name, code, "up"]);
    assert.match(
      lastError!.message.replace("silence", ""),
      name === "a reset" ? /heartbeat/ : says,
    );
  }
  platform.control.away = undefined;
  const taken = gateway.until(({ heartbeat }) => heartbeat!.getTime() === clock.now());
  await clock.advance(3 * MINUTE);
  await Promise.race([taken, log.line(/heartbeats are taken again/)]);
  assert.match(await log.line(/heartbeats are taken again/), /\(after 8 failures in \d+ min/);
  const { reconnects, since: still } = gateway.state.snapshot;
  assert.deepEqual([reconnects, still], [0, since]);
  assert.equal(relay.sessions.length, 1);
  assert.ok(log.lines.some((line) => /heartbeat not taken.*401.*get a new one/.test(line)));
});

Deno.test("renewal: the tunnel stays up until its certificates end while the platform is away, and moves on when it is back", async () => {
  await using relay = await SmallRelay.start();
  await using platform = await platformOf(relay);
  const clock = new VirtualClock(Date.now());
  using log = captureLog();
  await using gateway = await setUp(platform.url, { clock });
  const { nextRenewal, certificatesEnd } = await gateway.until((s) =>
    isUp(s) && s.heartbeat !== undefined
  );
  for (const [name, away, code] of WAYS) {
    platform.control.away = away;
    const { at } = gateway.state.snapshot.lastError ?? {};
    const due = gateway.state.snapshot.nextRenewal!.getTime();
    const failed = gateway.until(({ lastError, nextRenewal: next }) =>
      lastError !== undefined && lastError.at !== at && next!.getTime() > due
    );
    while (clock.now() < due) {
      await clock.advance(Math.min(MINUTE, due - clock.now()));
      await quiet(clock);
    }
    const { phase } = await failed;
    assert.equal(phase, "up", name);
    assert.ok([code, "api-malformed"].includes(gateway.state.snapshot.lastError!.code), name);
  }
  assert.ok(nextRenewal!.getTime() < clock.now() && clock.now() < certificatesEnd!.getTime());
  assert.equal(relay.sessions.length, 1);
  platform.control.away = undefined;
  const renewed = log.line(/certificates renewed/);
  await clock.advance(2 * MINUTE);
  assert.match(await renewed, /\(after 7 failures in \d+ min/);
  await until(() => relay.sessions.length === 2, "the session moves to the new certificates");
  assert.deepEqual([gateway.state.snapshot.phase, gateway.state.snapshot.reconnects], ["up", 0]);
});

Deno.test("a token that is rotated on disk is picked up by the next call, and the tunnel stays up", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "token");
  await writeFile(path, "old-token\n", { mode: 0o600 });
  let good = "old-token";
  await using relay = await SmallRelay.start();
  await using platform = await platformOf(relay, { accepts: (token) => token === good });
  const clock = new VirtualClock(Date.now());
  await using gateway = await setUp(platform.url, { clock, token: `@${path}` });
  const first = await gateway.until((s) => isUp(s) && s.heartbeat !== undefined);
  good = "new-token";
  await quiet(clock);
  const refused = gateway.until(({ lastError }) => lastError !== undefined);
  await clock.advance(3 * MINUTE);
  assert.equal((await refused).lastError!.code, "credentials-refused");
  await writeFile(path, "new-token\n");
  const taken = gateway.until(({ heartbeat }) => heartbeat! > first.heartbeat!);
  await quiet(clock);
  await clock.advance(3 * MINUTE);
  await taken;
  assert.deepEqual([gateway.state.snapshot.phase, gateway.state.snapshot.reconnects], ["up", 0]);
  assert.equal(platform.requests.at(-1)?.authorization, "Bearer new-token");
  assert.ok(clock.now() < first.certificatesEnd!.getTime() - HOUR);
});
