/** One thing wrong in each test: the check that must find it, and what it says to do. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { formatAuthorizedKey, publicKeyBlob } from "../../../src/certificates/ssh_key.ts";
import { cli } from "../../cli/run.ts";
import type { CheckId } from "../../../src/diagnostic/doctor/check.ts";
import { type Answer, fakeServer, json } from "../../fake_server.ts";
import { freePort } from "../../lab_process.ts";
import { SmallRelay } from "../../link/small_relay.ts";
import { type Examination, examine, gatewayToken, HOST, prepare } from "./fixture.ts";

const HERE = ["--state-dir", "/nonexistent", "--health-listen", `${HOST}:9`];
const TOKEN = ["--token", "a-token-that-is-nobody-s"];
const PATIENCE = ["--timeout", "300ms"];

/** Fails unless `id` failed with that code and words, and what depends on it was not tried. */
function failed(found: Examination, id: CheckId, code: string, finding: RegExp, remedy: RegExp) {
  const check = found.of(id);
  assert.equal(check.status, "fail", found.text);
  assert.equal(check.code, code, found.text);
  assert.match(check.finding, finding);
  assert.match(check.remedy ?? "", remedy);
  assert.equal(found.status, 1);
}

/** The firewall command of a remedy, run: it must print a rule for that port. */
async function prints(remedy: string | undefined, port: number): Promise<void> {
  const command = /printed by: sallyport (firewall .*)$/.exec(remedy ?? "")?.[1];
  assert.ok(command, remedy);
  const { status, out, err } = await cli(
    [...command.split(" "), "--json"].filter((w) => w !== "nftables"),
  );
  assert.equal(status, 0, err);
  const { rules } = JSON.parse(out) as { rules: { port: number }[] };
  assert.ok(rules.some((rule) => rule.port === port), out);
}

/** Takes connections and does with them what the test says. */
async function listener(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    onSocket(socket);
  }).listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: `${HOST}:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

/** As a firewall does that has seen what is spoken. */
function resetAtFirstByte(socket: Socket): void {
  socket.once("data", () => socket.resetAndDestroy());
}

/** A platform that knows one relay and registers a gateway for it. */
function platformFor(relay: SmallRelay, change: Partial<Record<"authority", string>> = {}): Answer {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/api/status") return json({ message: "Ok" });
    if (pathname === "/api/v1/relays") {
      return json([{
        id: "1",
        name: "r1",
        host: relay.address,
        orgId: "o",
        heartbeat: new Date().toISOString(),
      }]);
    }
    if (pathname === "/api/v2/gateways") {
      const registration = await relay.registration();
      if (change.authority) registration.ssh.serverCAPublicKey = change.authority;
      return json(registration);
    }
    return json({ statusCode: 404, message: "not found", error: "NotFound" }, 404);
  };
}

Deno.test("a name that does not resolve is no such host, and nothing beyond it is tried", async () => {
  const found = await examine([...HERE, ...TOKEN, "--domain", "https://nowhere.invalid"]);
  // Without any name server the answer is that none answers.
  failed(found, "platform-name", "name-resolution", /^nowhere\.invalid: /, /--domain|port 53/);
  const rest = ["platform-port", "platform-tls", "api", "clock", "credentials", "registration"];
  for (const id of rest as CheckId[]) {
    assert.match(found.of(id).finding, /not tried, because "platform name" failed/);
  }
});

Deno.test("a port that refuses: the rule for it is named, and the command prints it", async () => {
  const port = await freePort(HOST);
  const found = await examine([
    ...[...HERE, ...TOKEN, "--domain", `http://${HOST}:${port}`],
    ...["--relay-address", `${HOST}:${port}`],
  ]);
  const rule = new RegExp(`missing firewall rule: TCP to ${HOST} port ${port}`);
  failed(found, "platform-port", "api-unreachable", /refuses the connection/, rule);
  failed(found, "relay-port", "relay-unreachable", /refuses the connection/, rule);
  await prints(found.of("platform-port").remedy, port);
  await prints(found.of("relay-port").remedy, port);
});

Deno.test("a platform that takes connections and is silent, or resets them, is told apart", async () => {
  await using silent = await listener(() => {});
  await using resets = await listener(resetAtFirstByte);
  const look = (address: string) =>
    examine([...HERE, ...TOKEN, ...PATIENCE, "--domain", `https://${address}`]);
  const first = await look(silent.address);
  assert.equal(first.of("platform-port").status, "pass");
  failed(first, "platform-tls", "api-unreachable", /timed out/, /missing firewall rule/);
  const second = await look(resets.address);
  failed(second, "platform-tls", "api-unreachable", /is reset/, /without inspection/);
});

Deno.test("something else at the platform's address is not the API", async () => {
  await using web = fakeServer(() => new Response("<html>Sign in to the guest network</html>"));
  const found = await examine([...HERE, ...TOKEN, "--domain", web.url]);
  failed(found, "api", "api-malformed", /the answer is HTML/, /--domain/);
});

for (
  const [offset, status, words] of [
    [-3600, "fail", /^3[56]\d\d\.\d s ahead of the platform's/],
    [3600, "fail", /^3[56]\d\d\.\d s behind the platform's/],
    [-20, "warn", /^1[89]\.\d s ahead|^2\d\.\d s ahead/],
    [0, "pass", /as the platform's/],
  ] as const
) {
  Deno.test(`a platform whose clock is ${offset} s from ours: ${status}`, async () => {
    await using server = fakeServer(() =>
      json({ message: "Ok" }, 200, {
        date: new Date(Date.now() + offset * 1000).toUTCString(),
      })
    );
    const found = await examine([...HERE, ...TOKEN, "--domain", server.url]);
    const clock = found.of("clock");
    assert.equal(clock.status, status, found.text);
    assert.match(clock.finding, words);
    if (status !== "pass") assert.match(clock.remedy!, /NTP/);
  });
}

Deno.test("a token that the platform does not know, and none at all", async () => {
  await using ground = await prepare();
  const wrong = await examine([...ground.arguments, ...TOKEN]);
  failed(wrong, "credentials", "credentials-refused", /401/, /get a new one/);
  assert.match(wrong.of("registration").finding, /because "credentials" failed/);
  const none = await examine(ground.arguments);
  failed(none, "credentials", "usage", /no credentials are given/, /--token @path/);
  const relay = await examine([...ground.arguments, "--token", ground.token("relay")]);
  failed(relay, "registration", "relay-none", /no relay is named/, /--target-relay-name/);
  const named = await examine([
    ...[...ground.arguments, "--token", ground.token("relay"), "--target-relay-name", "r1"],
  ]);
  assert.equal(named.of("credentials").status, "warn");
  failed(named, "registration", "credentials-refused", /403/, /role/);
});

Deno.test("a platform that repeats the token and keys in its answers does not get them shown", async () => {
  const token = "this-token-is-a-secret-of-ours";
  const key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----";
  await using server = fakeServer((request) =>
    request.url.endsWith("/status")
      ? json({})
      : json({ statusCode: 401, message: `bad token ${token}, Bearer ${token}, ${key}` }, 401)
  );
  const found = await examine([...HERE, "--token", token, "--domain", server.url]);
  failed(found, "credentials", "credentials-refused", /bad token \[secret\]/, /new one/);
  assert.ok(!found.text.includes(token));
  assert.ok(!found.text.includes("MC4CAQ"));
});

Deno.test("a relay that is not there: its port is looked at, and its rule is named", async () => {
  await using ground = await prepare();
  const token = ["--token", gatewayToken(ground.admin, ground.secrets)];
  const closed = await freePort(HOST);
  const found = await examine([
    ...[...ground.arguments, ...token, "--relay-address", `${HOST}:${closed}`],
  ]);
  assert.equal(found.of("registration").status, "pass");
  failed(found, "relay-port", "relay-unreachable", /refuses/, /missing firewall rule/);
  const unknown = await examine([...ground.arguments, ...token, "--relay-name", "r9"]);
  failed(unknown, "registration", "api-not-found", /r9/, /names/);
});

Deno.test("what answers at the relay's port and is no SSH is named", async () => {
  await using web = fakeServer(() => new Response("hello"));
  await using silent = await listener(() => {});
  await using resets = await listener(resetAtFirstByte);
  await using closes = await listener((socket) => socket.end());
  await using tls = await listener((socket) => {
    socket.once("data", () => socket.write(Uint8Array.of(0x15, 3, 1, 0, 2, 2, 10)));
  });
  await using mail = await listener((socket) => socket.write("220 mail.example ESMTP\r\n"));
  const look = (address: string) =>
    examine([
      ...[...HERE, ...TOKEN, ...PATIENCE, "--domain", `http://${HOST}:9`],
      ...["--relay-address", address],
    ]);
  const http = await look(new URL(web.url).host);
  failed(http, "relay-ssh", "ssh-protocol", /speaks HTTP, not SSH/, /SSH port/);
  failed(await look(tls.address), "relay-ssh", "ssh-protocol", /speaks TLS, not SSH/, /SSH port/);
  failed(await look(mail.address), "relay-ssh", "ssh-protocol", /something else/, /SSH port/);
  const quiet = await look(silent.address);
  assert.equal(quiet.of("relay-port").status, "pass");
  failed(quiet, "relay-ssh", "ssh-protocol", /then says nothing/, /without inspection/);
  await prints(quiet.of("relay-ssh").remedy, silent.port);
  const cut = await look(resets.address);
  failed(cut, "relay-ssh", "relay-unreachable", /is reset/, /without inspection/);
  const shut = await look(closes.address);
  failed(shut, "relay-ssh", "relay-unreachable", /closes the connection/, /without inspection/);
});

Deno.test("a host certificate of another authority, or for another relay, is refused", async () => {
  const authority = formatAuthorizedKey(publicKeyBlob(generateKeyPairSync("ed25519").publicKey));
  await using relay = await SmallRelay.start();
  await using foreign = fakeServer(platformFor(relay, { authority }));
  const first = await examine([...HERE, ...TOKEN, "--domain", foreign.url]);
  failed(
    first,
    "host-certificate",
    "certificate-authority",
    /signed by an authority that is not the platform's/,
    /something on the way/,
  );
  assert.match(first.of("relay-login").finding, /because "host certificate" failed/);
  await using other = await SmallRelay.start({ principal: "other.example:2222" });
  await using platform = fakeServer(platformFor(other));
  const second = await examine([...HERE, ...TOKEN, "--domain", platform.url]);
  failed(
    second,
    "host-certificate",
    "certificate-principal",
    /is for other\.example:2222, not for/,
    /--host/,
  );
});

Deno.test("a relay that holds this gateway's session already says so by hanging up", async () => {
  await using relay = await SmallRelay.start({ onSession: (session) => session.close() });
  await using platform = fakeServer(platformFor(relay));
  const found = await examine([...HERE, ...TOKEN, "--domain", platform.url]);
  assert.equal(found.of("host-certificate").status, "pass", found.text);
  failed(found, "relay-login", "ssh-closed", /hung up/, /older connection/);
  // The real platform gives no connections, and no gateway is at work.
  assert.equal(found.of("round-trip").status, "skip");
  assert.match(found.of("round-trip").finding, /opens no connections/);
});

Deno.test("the real platform gives no connections: a gateway's own readiness is asked", async () => {
  await using relay = await SmallRelay.start();
  await using platform = fakeServer(platformFor(relay));
  let ready = true;
  await using health = fakeServer(() =>
    json({
      ...{ ready, reason: ready ? "the tunnel is up" : "the tunnel is down: cut", phase: "up" },
      gateway: "edge-1",
      relay: { name: "r1", address: relay.address },
    })
  );
  const look = () =>
    examine([
      ...["--state-dir", "/nonexistent", "--health-listen", new URL(health.url).host],
      ...[...TOKEN, "--domain", platform.url],
    ]);
  const up = await look();
  assert.equal(up.of("gateway").status, "pass", up.text);
  assert.match(up.of("round-trip").finding, /only the gateway's own word, the tunnel is up/);
  assert.equal(relay.sessions.length, 0, "nobody has logged in");
  ready = false;
  const down = await look();
  failed(down, "round-trip", "relay-unreachable", /the tunnel is down: cut/, /log/);
});

Deno.test("another program at the health address is found", async () => {
  await using web = fakeServer(() => new Response("hello"));
  const found = await examine([
    ...["--state-dir", "/nonexistent", "--health-listen", new URL(web.url).host, ...TOKEN],
    ...["--domain", `http://${HOST}:9`],
  ]);
  failed(found, "gateway", "port-in-use", /no gateway listens/, /--health-listen/);
});

Deno.test("a token file that others may read is a failure, one of its group a warning", async () => {
  await using ground = await prepare();
  const path = await ground.tokenFile("gateway", "client");
  const look = () => examine([...ground.arguments, "--token", `@${path}`]);
  await chmod(path, 0o644);
  failed(await look(), "files", "file", /read by everybody \(mode 0644\)/, /^chmod 600 .*replace/);
  await chmod(path, 0o640);
  const group = await look();
  assert.equal(group.of("files").status, "warn");
  assert.equal(group.status, 0, group.text);
});

Deno.test("an interrupted run is no success", async () => {
  const stop = new AbortController();
  await using silent = await listener(() => stop.abort());
  const found = await examine(
    [...HERE, ...TOKEN, "--domain", `https://${silent.address}`],
    { signal: stop.signal },
  );
  assert.equal(found.status, 130);
  assert.match(found.of("api").finding, /interrupted|because/);
});
