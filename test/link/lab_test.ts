/** The gateway against the lab's platform, relay and client, which know nothing of this program. */
import assert from "node:assert/strict";
import type { Auth } from "../../src/enroll/credentials.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { freePort, listening, runLab, startLab } from "../lab_process.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

const { ignore } = requirement("go");
const GATEWAY = "edge";

/** Lab platform, relay and target on a loopback address of their own. */
async function lab(alg: string, host: string) {
  const api = `http://${host}:${await freePort(host)}`;
  const targetPort = await freePort("127.0.0.1");
  const stack = new AsyncDisposableStack();
  const platform = stack.use(
    await startLab(["platform", "-addr", new URL(api).host, "-alg", alg], /platform on/),
  );
  const relayArgs = ["relay", "-api", api, "-host", host];
  relayArgs.push("-ssh", `${host}:2222`, "-tls", `${host}:8443`);
  const relay = stack.use(await startLab(relayArgs, /relay r1: ssh/));
  stack.use(
    await startLab(
      ["target", "-addr", `127.0.0.1:${targetPort}`],
      () => listening("127.0.0.1", targetPort),
    ),
  );
  const bench = (mode: string, ...more: string[]) =>
    runLab([
      ...["bench", "-api", api, "-relay", `${host}:8443`, "-name", GATEWAY],
      ...["-port", String(targetPort), "-mode", mode, ...more],
    ]);
  return {
    api,
    platform,
    relay,
    bench,
    calls: async () => await (await fetch(`${api}/lab/calls`)).json() as Record<string, number>,
    restartRelay: async () => {
      await relay[Symbol.asyncDispose]();
      return stack.use(await startLab(relayArgs, /relay r1: ssh/));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function gateway(domain: string, auth: Auth, relayName?: string) {
  const folder = await temporaryFolder();
  const stop = new AbortController();
  const { state, finished } = await startGateway({
    name: GATEWAY,
    domain,
    auth,
    relayName,
    stateDir: folder.path,
    healthListen: "off",
  }, stop.signal);
  const up = state.until(({ phase }) => phase === "up", stop.signal);
  await Promise.race([up, finished]).catch(async (error) => {
    stop.abort();
    up.catch(() => {});
    await folder[Symbol.asyncDispose]();
    throw error;
  });
  return {
    state,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
      await folder[Symbol.asyncDispose]();
    },
  };
}

const token: Auth = { method: "token", token: secretSource("tok") };

for (
  const [alg, host] of [["rsa", "127.0.30.11"], ["ecdsa", "127.0.30.12"], [
    "ed25519",
    "127.0.30.13",
  ]] as const
) {
  Deno.test({
    name: `the lab's relay and client reach a target through our gateway, with ${alg} keys`,
    ignore,
    async fn() {
      await using there = await lab(alg, host);
      await using _ = await gateway(there.api, token, "r1");
      assert.match(await there.bench("ping"), /ping "PONG\\n"/);
      assert.match(await there.bench("health"), /"status\\":\\"ok/);
      assert.match(await there.bench("up", "-mb", "4", "-conns", "4"), /up conns=4 .* MB\/s/);
      assert.match(await there.bench("down", "-mb", "4", "-conns", "4"), /down conns=4 .* MB\/s/);
      const half = await there.bench("half", "-mb", "1");
      const [, sent, answer] = /half sent=(\d+) answer="(\d+)\\n"/.exec(half) ?? [half];
      assert.ok(sent, half);
      assert.equal(answer, sent);
    },
  });
}

Deno.test({
  name: "all three ways in work with the lab's platform",
  ignore,
  async fn() {
    await using there = await lab("ed25519", "127.0.30.14");
    const ways: Auth[] = [
      token,
      { method: "universal-auth", clientId: "c", clientSecret: secretSource("lab-secret") },
      { method: "enroll-token", token: secretSource(`enroll-${GATEWAY}`) },
    ];
    for (const auth of ways) {
      await using there_ = await gateway(there.api, auth, "r1");
      assert.equal(there_.state.snapshot.relay?.name, "r1");
      assert.match(await there.bench("ping"), /PONG/);
    }
    const calls = await there.calls();
    assert.equal(calls["POST /api/v2/gateways"], 2);
    assert.equal(calls["POST /api/v3/gateways/connect"], 1);
    assert.equal(calls["POST /api/v1/auth/universal-auth/login"], 1);
    const wrong: Auth = {
      method: "enroll-token",
      token: secretSource("wrong"),
    };
    await assert.rejects(gateway(there.api, wrong, "r1"), { code: "credentials-refused" });
    await assert.rejects(gateway(there.api, token, "no-such-relay"), { code: "api-not-found" });
  },
});

Deno.test({
  name: "after a restart of the lab's relay the tunnel is back within seconds and carries traffic",
  ignore,
  async fn() {
    await using there = await lab("ed25519", "127.0.30.15");
    await using edge = await gateway(there.api, token);
    await using _relay = await there.restartRelay();
    const back = performance.now();
    await edge.state.until(({ phase, reconnects }) => phase === "up" && reconnects > 0);
    assert.ok(performance.now() - back < 3000, "it took more than 3 s");
    assert.match(await there.bench("ping"), /PONG/);
  },
});

Deno.test({
  name: "a second gateway of the same name is told that the relay holds another one",
  ignore,
  async fn() {
    await using there = await lab("ed25519", "127.0.30.16");
    await using _first = await gateway(there.api, token, "r1");
    const folder = await temporaryFolder();
    const stop = new AbortController();
    const second = await startGateway({
      name: GATEWAY,
      domain: there.api,
      auth: token,
      relayName: "r1",
      stateDir: folder.path,
      healthListen: "off",
    }, stop.signal);
    const { lastError } = await second.state.until((s) => s.lastError !== undefined);
    assert.match(lastError!.message, /accepted this gateway and hung up/);
    stop.abort();
    await second.finished;
    await folder[Symbol.asyncDispose]();
    assert.match(await there.bench("ping"), /PONG/);
  },
});
