/** The compiled binary as its users meet it: every party a process of its own, curl as the judge. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { GatewayStatus } from "../../src/health/schema.ts";
import { runChild, startChild } from "../child.ts";
import { parseOpenMetrics } from "../health/open_metrics.ts";
import { freePort } from "../lab_process.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { BINARY, build } from "./built_binary.ts";

const { ignore } = requirement("denort", "curl");
const HOST = "127.0.0.1";

async function curl(...args: string[]): Promise<{ body: string; status: string }> {
  const { out, err } = await runChild("curl", {
    args: [
      "--silent",
      "--show-error",
      "--max-time",
      "20",
      "--write-out",
      "\n%{http_code}",
      ...args,
    ],
  });
  const at = out.lastIndexOf("\n");
  return { body: out.slice(0, at) + err, status: out.slice(at + 1) };
}

Deno.test({
  name: "the compiled binary carries curl to a private service and tells its health",
  ignore,
  async fn() {
    await build();
    await using folder = await temporaryFolder();
    const [api, ssh, tls, health, local] = await Promise.all(
      Array.from({ length: 5 }, () => freePort(HOST)),
    ) as [...[number, number, number, number, number]];
    const domain = `http://${HOST}:${api}`;
    const data = join(folder.path, "platform");
    const env = {
      HOME: folder.path,
      SALLYPORT_PLATFORM_DATA: data,
      INFISICAL_DOMAIN: domain,
      SALLYPORT_STATE_DIR: join(folder.path, "state"),
    };
    const options = { env, clearEnv: true };
    const ask = async (...args: string[]) => {
      const { status, out, err } = await runChild(BINARY, { args, ...options });
      assert.equal(status, 0, err);
      return out.trim();
    };
    const start = (...args: string[]) => startChild(BINARY, { args, ...options });

    await ask("platform", "init");
    await ask("platform", "identity", "create", "the-relay", "--role", "relay");
    await ask("platform", "identity", "create", "me", "--role", "client");
    const relayToken = await ask("platform", "token", "create", "--identity", "the-relay");
    const myToken = await ask("platform", "token", "create", "--identity", "me");
    const edgeToken = await ask("platform", "token", "create", "--gateway", "edge-1");
    await Deno.writeTextFile(join(folder.path, "edge-token"), edgeToken, { mode: 0o600 });

    await using target = Deno.serve(
      { hostname: HOST, port: 0, onListen: () => {} },
      async (request) => new Response(`private: ${await request.text()}`),
    );
    const targetPort = target.addr.port;

    await using platform = start("platform", "start", "--listen", `${HOST}:${api}`);
    await platform.line(/serves http/);
    await using relay = start(
      ...["relay", "start", "--name", "r1", "--host", HOST, "--token", relayToken],
      ...["--ssh-listen", `${HOST}:${ssh}`, "--tls-listen", `${HOST}:${tls}`],
    );
    await relay.line(/relay r1 serves/);
    await using gateway = start(
      ...["gateway", "start", "edge-1", "--relay", "r1", "--enroll-method", "token"],
      ...["--token", `@${join(folder.path, "edge-token")}`],
      ...["--health-listen", `${HOST}:${health}`],
    );
    await gateway.line(/tunnel is up/);

    assert.deepEqual(await curl(`http://${HOST}:${health}/healthz`), {
      body: "ok\n",
      status: "200",
    });
    assert.equal((await curl(`http://${HOST}:${health}/readyz`)).status, "200");
    const status = async () =>
      JSON.parse((await curl(`http://${HOST}:${health}/status`)).body) as GatewayStatus;
    const { phase, gateway: name, relay: through } = await status();
    assert.deepEqual([phase, name, through?.name], ["up", "edge-1", "r1"]);
    const look = (...args: string[]) =>
      runChild(BINARY, { args: ["status", "--health", `${HOST}:${health}`, ...args], ...options });
    assert.deepEqual([(await look()).status, (await look("--json")).status], [0, 0]);

    for (const [i, mode] of [[], ["--http"]].entries()) {
      await using client = start(
        ...["connect", "edge-1", `${HOST}:${targetPort}`, "--token", myToken, ...mode],
        ...["--listen", `${HOST}:${local}`],
      );
      await client.line(/leads to/);
      const there = await curl("--data", "hello", `http://${HOST}:${local}/`);
      assert.deepEqual(there, { body: "private: hello", status: "200" });
      // A signal cuts off what is not over yet, and curl ends before its connection does.
      await gateway.line(new RegExp(`channel \\S+-${i + 1} closed:`));
      client.kill("SIGINT");
      assert.equal(await client.status, 0, client.log);
    }
    const { channels, bytes, latency } = await status();
    assert.ok(latency! > 0 && channels.served >= 2, JSON.stringify(channels));
    assert.ok(bytes.in > 2 * "hello".length && bytes.out > 2 * "private: hello".length);
    const metrics = parseOpenMetrics((await curl(`http://${HOST}:${health}/metrics`)).body);
    const carried = metrics.get("sallyport_bytes")!.samples.map(({ value }) => value);
    assert.deepEqual(carried, [bytes.in, bytes.out]);
    assert.match((await curl(`http://${HOST}:${health}/`)).body, /<title>sallyport/);
    assert.match(await ask("platform", "gateways"), /edge-1 .* r1 /);
    assert.match(await ask("platform", "relays"), new RegExp(`r1 +org +${HOST} +${ssh} +${tls}`));

    relay.kill("SIGTERM");
    assert.equal(await relay.status, 0, relay.log);
    await gateway.line(/tunnel lost/);
    assert.equal((await curl(`http://${HOST}:${health}/readyz`)).status, "503");
    assert.equal((await curl(`http://${HOST}:${health}/healthz`)).status, "200");
    const down = await look();
    assert.equal(down.status, 1);
    assert.match(down.out, /^edge-1: (the tunnel is down|connecting to)/);
    gateway.kill("SIGTERM");
    assert.equal(await gateway.status, 0, gateway.log);
    assert.equal((await look()).status, 5);
    platform.kill("SIGTERM");
    assert.equal(await platform.status, 0, platform.log);
    const everything = [platform, relay, gateway].map(({ log }) => log).join("\n");
    for (const secret of [relayToken, myToken, edgeToken]) {
      assert.ok(!everything.includes(secret), "a token stands in a log");
    }
  },
});

Deno.test({
  name: "the compiled binary says what is wrong and how it ends",
  ignore,
  async fn() {
    await build();
    await using folder = await temporaryFolder();
    const run = (...args: string[]) =>
      runChild(BINARY, { args, env: { HOME: folder.path }, clearEnv: true });
    assert.match((await run("--help")).out, /Usage: sallyport/);
    const typo = await run("gateway", "start", "a", "--tokn", "x");
    assert.deepEqual([typo.status, typo.out], [2, ""]);
    assert.match(typo.err, /Did you mean --token\?/);
    const empty = await run("platform", "start");
    assert.equal(empty.status, 6);
    assert.match(empty.err, /sallyport platform init/);
    assert.doesNotMatch(typo.err + empty.err, /\bat /);
  },
});
