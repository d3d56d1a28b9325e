/** A gateway that may have few files open, as a process of its own, from source. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { target } from "../channel/served.ts";
import { startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { System } from "../relay/system.ts";
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
    gateway.kill("SIGTERM");
    assert.equal(await gateway.status, 0);
  },
});
