/** A gateway and a relay that may have few files open, as processes of their own, from source. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { target } from "../channel/served.ts";
import { startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { platform } from "../platform/fixture.ts";
import { joinRelay, System } from "../relay/system.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

const FILES = 300;
const WANTED = 400;

Deno.test({
  name: "more streams than there may be files: some are refused, and the health port goes on",
  ignore: process.platform === "win32",
  async fn() {
    await using system = await System.start("org");
    await using echo = await target("127.0.49.13", (socket) => void socket.pipe(socket));
    await using folder = await temporaryFolder();
    const { token } = system.platform.admin.createGatewayToken({ gateway: "edge" });
    const health = await freePort("127.0.0.1");
    const start = [
      ...[Deno.execPath(), "run", "--quiet", "--allow-all", "--no-check"],
      ...[join(ROOT, "src", "main.ts"), "gateway", "start", "edge", "--relay", "r1"],
      ...["--domain", system.platform.url, "--enroll-method", "token"],
      ...["--state-dir", join(folder.path, "state"), "--health-listen", `127.0.0.1:${health}`],
    ];
    await using gateway = startChild("sh", {
      args: ["-c", `ulimit -n ${FILES}; exec "$@"`, "sh", ...start],
      env: { INFISICAL_TOKEN: token },
    });
    await gateway.line(/tunnel is up/);
    const grant = await system.platform.as("client", ["client"])
      .openConnection({ gateway: "edge", targetHost: echo.host, targetPort: echo.port });
    const outcomes = await Promise.all(Array.from({ length: WANTED }, async () => {
      try {
        const stream = await system.stream(grant);
        return { stream, answer: await system.echo(stream) };
      } catch {
        return { answer: "" };
      }
    }));
    const served = outcomes.filter(({ answer }) => answer === "hello").length;
    assert.ok(served >= 64 && served < WANTED, String(served));
    assert.match(gateway.log, /\d+ streams at a time instead of 2048: .*LimitNOFILE/);
    const alive = async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).text();
    assert.match(await alive(), /ready|up|ok/i);
    for (const { stream } of outcomes) stream?.destroy();
    assert.match(await alive(), /ready|up|ok/i);
    const again = await system.stream(grant);
    assert.equal(await system.echo(again), "hello");
    again.destroy();
    gateway.kill("SIGTERM");
    assert.equal(await gateway.status, 0);
  },
});

Deno.test({
  name: "more strangers at a relay than there may be files: gateways come in, then and afterwards",
  ignore: process.platform === "win32",
  async fn() {
    await using p = await platform({ listen: { host: "127.0.49.14", port: 0 } });
    await using folder = await temporaryFolder();
    const any = "127.0.49.14:0";
    const start = [
      ...[Deno.execPath(), "run", "--quiet", "--allow-all", "--no-check"],
      ...[join(ROOT, "src", "main.ts"), "relay", "start", "--name", "r1", "--host", "127.0.49.14"],
      ...["--domain", p.url, "--enroll-method", "token", "--state-dir", join(folder.path, "state")],
      ...["--ssh-listen", any, "--tls-listen", any],
    ];
    await using relay = startChild("sh", {
      args: ["-c", `ulimit -n ${FILES}; exec "$@"`, "sh", ...start],
      env: { INFISICAL_TOKEN: p.admin.createRelayToken({ relay: "r1" }).token },
    });
    const [, ssh, tls] = /on port (\d+) .* on port (\d+)/.exec(
      await relay.line(/serves gateways/),
    )!;
    const registered = await p.as("edge", ["gateway"])
      .registerGateway({ name: "edge", relayName: "r1" });
    const comesIn = async () => {
      const session = await joinRelay(registered);
      assert.ok(await session.ping() > 0);
      session.close();
      await session.closed;
    };
    const strangers = Array.from({ length: WANTED }, (_, i) => {
      const stranger = connect(Number(i % 2 === 0 ? ssh : tls), "127.0.49.14");
      return stranger.on("error", () => {}).resume();
    });
    await Promise.all(strangers.map((stranger) => once(stranger, "connect")));
    await comesIn();
    await relay.line(/\d+ connections at a time instead of \d+/);
    for (const stranger of strangers) stranger.destroy();
    await comesIn();
    relay.kill("SIGTERM");
    assert.equal(await relay.status, 0);
  },
});
