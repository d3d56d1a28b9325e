/** A gateway's process, the lab's relay, and a service manager's socket between test and process. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { startChild } from "../child.ts";
import { freePort, startLab } from "../lab_process.ts";
import { requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { ManagerSocket } from "./manager_socket.ts";

const { ignore } = requirement("go");
const HOST = "127.0.45.11";

Deno.test({
  name: "a process is ready with its tunnel, feeds its watchdog with or without a relay, and stops",
  ignore: ignore || process.platform !== "linux",
  async fn() {
    await using folder = await temporaryFolder();
    await using manager = await ManagerSocket.open();
    const api = `http://${HOST}:${await freePort(HOST)}`;
    await using _platform = await startLab(
      ["platform", "-addr", new URL(api).host, "-alg", "ed25519"],
      /platform on/,
    );
    const relayArgs = ["relay", "-api", api, "-host", HOST];
    relayArgs.push("-ssh", `${HOST}:2222`, "-tls", `${HOST}:8443`);
    const relay = await startLab(relayArgs, /relay r1: ssh/);
    try {
      await using gateway = startChild(Deno.execPath(), {
        args: [
          ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
          ...["gateway", "start", "edge", "--token", "tok", "--relay", "r1", "--domain", api],
          ...["--health-listen", "off", "--state-dir", folder.path],
          ...["--keepalive-interval", "200ms", "--keepalive-timeout", "2s"],
        ],
        env: { NOTIFY_SOCKET: manager.name, WATCHDOG_USEC: "600000" },
      });
      await manager.of(/^READY=1$/);
      const before = manager.assignments.slice(0, manager.assignments.indexOf("READY=1"));
      assert.ok(before.some((text) => /^STATUS=the tunnel is up through/.test(text)), `${before}`);
      const beats = () => manager.assignments.filter((text) => text === "WATCHDOG=1").length;
      await manager.of(/^WATCHDOG=1$/, beats() + 5);
      await relay[Symbol.asyncDispose]();
      await manager.of(/^STATUS=(the tunnel is down|connecting)/);
      await manager.of(/^WATCHDOG=1$/, beats() + 5);
      // Stopped as a whole, it says nothing: that is what the watchdog is for.
      process.kill(gateway.pid, "SIGSTOP");
      const silent = beats();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.ok(beats() - silent <= 1, "a process that stands still goes on beating");
      process.kill(gateway.pid, "SIGCONT");
      await manager.of(/^WATCHDOG=1$/, beats() + 1);
      gateway.kill("SIGTERM");
      await manager.of(/^STOPPING=1$/);
      assert.equal(await gateway.status, 0, gateway.log);
    } finally {
      await relay[Symbol.asyncDispose]();
    }
  },
});
