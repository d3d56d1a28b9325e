/** Revocation, from the platform's command to the session that is gone. */
import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { Registry } from "../../src/relay/registry.ts";
import { keepInformed, RevocationList } from "../../src/relay/revocations.ts";
import { captureLog } from "../captured_log.ts";
import { target } from "../channel/served.ts";
import { until, VirtualClock } from "../virtual_clock.ts";
import { within } from "../within.ts";
import { over, System } from "./system.ts";

/** What is promised, ms. */
const WITHIN = 10_000;

function echoAt(host: string) {
  return target(host, (socket) => void socket.pipe(socket));
}

Deno.test("a revoked gateway loses its session within ten seconds, comes in no more, and stops with the reason", async () => {
  using log = captureLog("info");
  await using echo = await echoAt("127.0.49.11");
  await using system = await System.start("org");
  const { platform, relay } = system;
  const gateway = await system.gateway("edge");
  const other = await system.gateway("other");
  const client = platform.as("client", ["client"]);
  const grantFor = (name: string) =>
    client.openConnection({ gateway: name, targetHost: echo.host, targetPort: echo.port });
  const grant = await grantFor("edge");
  const stream = await system.stream(grant);
  assert.equal(await system.echo(stream), "hello");
  const { token } = platform.admin.createGatewayToken({ gateway: "edge" });
  // Somebody has copied its certificates, which hold for a day.
  const thief = await platform.as("thief", ["gateway"])
    .registerGateway({ name: "thiefs-own", relayName: "r1" });
  await (await system.join(thief)).close();

  const cut = over(stream);
  assert.equal(platform.admin.revokeGateway({ gateway: "edge" }), true);
  platform.admin.revokeGateway({ gateway: "thiefs-own" });
  await within(
    WITHIN,
    Promise.all([
      cut,
      assert.rejects(gateway.finished, {
        code: "revoked",
        exitCode: 7,
        message: /the gateway "edge" was revoked at/,
      }),
    ]),
  );
  assert.equal(relay.registry.get(gateway.id), undefined);
  await log.line(/gateway at .* refused: the platform has revoked the gateway/);

  await assert.rejects(system.join(thief), { code: "ssh-authentication" });
  await assert.rejects(system.stream(grant));
  await assert.rejects(grantFor("edge"), { code: "revoked" });
  await assert.rejects(platform.api().enrolGateway(token), { code: "revoked" });
  assert.throws(() => platform.admin.createGatewayToken({ gateway: "edge" }), /was revoked/);
  // Others go on.
  assert.equal(await system.echo(await system.stream(await grantFor("other"))), "hello");
  assert.equal(relay.registry.gatewayIds.includes(other.id), true);

  platform.admin.readmitGateway({ gateway: "edge" });
  const successor = await system.gateway("edge", undefined, { name: "edge-2" });
  assert.notEqual(successor.id, gateway.id);
  assert.equal(await system.echo(await system.stream(await grantFor("edge"))), "hello");
});

Deno.test("a revoked identity loses its streams and its gateways within ten seconds, and gets no new ones", async () => {
  using log = captureLog("info");
  await using echo = await echoAt("127.0.49.12");
  await using system = await System.start();
  const { platform, relay } = system;
  await system.gateway("edge");
  const [eve, ada] = [platform.as("eve", ["client", "gateway"]), platform.as("ada", ["client"])];
  const wish = { gateway: "edge", targetHost: echo.host, targetPort: echo.port };
  const [grant, adas] = [await eve.openConnection(wish), await ada.openConnection(wish)];
  const [stream, kept] = [await system.stream(grant), await system.stream(adas)];
  assert.equal(await system.echo(stream), "hello");
  assert.equal(await system.echo(kept), "hello");
  const eves = await eve.registerGateway({ name: "eves", relayName: "r1" });
  const session = await system.join(eves);

  const cut = over(stream);
  const { gateways } = platform.admin.revokeIdentity({ identity: "eve" });
  assert.deepEqual(gateways, ["eves"]);
  await within(WITHIN, Promise.all([cut, session.closed]));
  await log.line(/identity .* was revoked: its stream is ended/);

  // The certificates of the grant hold for minutes still.
  await assert.rejects(system.stream(grant));
  await log.line(/client at .* not served: identity .* was revoked/);
  await assert.rejects(eve.openConnection(wish), { code: "revoked", message: /"eve" was revoked/ });
  await assert.rejects(eve.registerGateway({ name: "new", relayName: "r1" }), { code: "revoked" });
  await assert.rejects(system.join(eves));
  assert.equal(await system.echo(kept, "still here"), "still here");
  assert.equal(relay.registry.size, 1);
});

Deno.test("a relay whose own identity is revoked stops with the reason", async () => {
  using _log = captureLog("info");
  await using system = await System.start("org");
  system.platform.admin.revokeIdentity({ identity: "the-relay" });
  await assert.rejects(within(WITHIN, system.relay.finished), { code: "revoked", exitCode: 7 });
});

Deno.test("a revoked relay stops, is offered to no gateway, and does not come back under its name", async () => {
  using _log = captureLog("info");
  await using system = await System.start("org");
  const { admin } = system.platform;
  const edge = system.platform.as("edge", ["gateway"]);
  assert.deepEqual((await edge.relays()).map(({ name }) => name), ["r1"]);
  assert.equal(admin.revokeRelay({ relay: "r1" }), true);
  assert.equal(admin.revokeRelay({ relay: "r1" }), false);
  await assert.rejects(within(WITHIN, system.relay.finished), {
    code: "revoked",
    message: /the relay "r1" was revoked at/,
  });
  assert.deepEqual(await edge.relays(), []);
  // No "revoked" for the gateway: it is not the one that was cut off, and must go on looking.
  const again = edge.registerGateway({ name: "edge", relayName: "r1" });
  await assert.rejects(again, { code: "api-not-found", message: /no relay "r1"/ });

  const { token } = admin.createIdentityToken({ identity: "the-relay" });
  const relay = system.platform.api(token);
  const place = { type: "org", name: "r1", host: "127.0.49.10" } as const;
  await assert.rejects(relay.registerRelay(place), { code: "revoked" });
  await assert.rejects(relay.relayHeartbeat(place), { code: "revoked" });
  admin.readmitRelay({ relay: "r1" });
  await relay.registerRelay(place);
  assert.deepEqual((await edge.relays()).map(({ name }) => name), ["r1"]);
});

Deno.test("a revoked gateway's retired sessions are dropped with its newest one", async () => {
  const registry = new Registry();
  const ended: string[] = [];
  const session = (gatewayId: string, name: string) => {
    const { promise: closed, resolve } = Promise.withResolvers<undefined>();
    const close = () => {
      ended.push(name);
      resolve(undefined);
    };
    registry.add({ gatewayId, channels: 1, closed, close } as never);
  };
  session("kept", "kept");
  session("revoked", "older");
  session("revoked", "newest");
  assert.deepEqual(registry.drop((id) => id === "revoked"), ["revoked"]);
  assert.deepEqual(ended, ["older", "newest"]);
  await registry.close();
});

const GOOD = { gateways: ["g"], identities: [] as string[] };

Deno.test("while the platform is away the last list holds, and asking goes on", async () => {
  using log = captureLog("warn");
  const clock = new VirtualClock();
  const list = new RevocationList();
  const answers: (typeof GOOD | Error)[] = [
    GOOD,
    new SallyportError("api-unreachable", "away"),
    new SallyportError("api-status", "away", { retryAfter: 60_000 }),
    { gateways: [], identities: ["i"] },
  ];
  const api = {
    revocations() {
      const answer = answers.shift()!;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  const stop = new AbortController();
  const asking = keepInformed({ relay: "r1", api, list, clock, onList: () => {} }, stop.signal);
  await until(() => clock.sleeping === 1, "it waits");
  await clock.advance(5_000);
  assert.equal(list.hasGateway("g"), true);
  await log.line(/no revocation list: away/);
  await clock.advance(65_000);
  assert.deepEqual([list.hasGateway("g"), list.hasIdentity("i")], [false, true]);
  for (const wait of clock.waits) assert.ok(wait <= 4_000 || wait === 60_000, String(wait));
  stop.abort(new Error("enough"));
  await assert.rejects(asking, /enough/);
});

Deno.test("a platform without revocation lists is told once, and the relay goes on", async () => {
  using log = captureLog("info");
  const api = { revocations: () => Promise.reject(new SallyportError("api-not-found", "404")) };
  const list = new RevocationList();
  const options = { relay: "r1", api, list, clock: new VirtualClock(), onList: () => {} };
  await keepInformed(options, new AbortController().signal);
  assert.equal(log.lines.filter((line) => line.includes("offers no revocation lists")).length, 1);
});
