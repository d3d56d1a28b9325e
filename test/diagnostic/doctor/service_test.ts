/** The service of a gateway: not there, stopped, running; and doctor takes its settings. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { service as serviceCheck } from "../../../src/diagnostic/doctor/checks/service.ts";
import type { DoctorOptions } from "../../../src/diagnostic/doctor/context.ts";
import { diagnose } from "../../../src/diagnostic/doctor/run.ts";
import { installService } from "../../../src/service/install.ts";
import { planService } from "../../../src/service/plan.ts";
import { requirement } from "../../requirements.ts";
import { FakeHost, service } from "../../service/fake_host.ts";
import { temporaryFolder } from "../../temporary.ts";
import { examine, GATEWAY, gatewayToken, prepare } from "./fixture.ts";

const IDENTITY = { id: "sallyport-edge-1", manager: "systemd", scope: "system" } as const;

async function look(host: FakeHost, configFile?: string) {
  const options: DoctorOptions = {
    name: GATEWAY,
    domain: "https://infisical.example",
    auth: () => assert.fail("nobody logs in"),
    stateDir: "/nonexistent",
    healthListen: "off",
    login: "no",
    env: {},
    timeout: 5_000,
    configFile,
    services: [{ ...IDENTITY, uid: 0, home: "/root" }],
    host,
  };
  const [result] = await diagnose(options, { checks: [serviceCheck] });
  return result!;
}

Deno.test("a service that is not there is no failure; one that stands still is", async () => {
  await using host = await FakeHost.create("etc/systemd/system");
  const none = await look(host);
  assert.equal(none.status, "skip");
  assert.match(none.remedy!, /sallyport service install edge-1/);
  const plan = planService(service("systemd"));
  await installService(plan, host);
  const { config } = plan.places;
  const running = await look(host, config);
  assert.deepEqual([running.status, running.finding], [
    "pass",
    `sallyport-edge-1 (systemd) runs, with ${config}`,
  ]);
  assert.equal((await look(host, "/other.json")).status, "warn");
  host.fails = (command) => command.startsWith("systemctl status");
  const stopped = await look(host, config);
  assert.deepEqual([stopped.status, stopped.code], ["fail", "service"]);
  assert.match(stopped.remedy!, /sallyport service start edge-1; .*journalctl --unit sallyport-/);
});

Deno.test({
  name: "an installed service is examined with its own settings, and no variable of this shell",
  ...requirement("flock"),
  async fn() {
    await using ground = await prepare();
    await using home = await temporaryFolder();
    const token = gatewayToken(ground.admin, ground.secrets);
    // A crontab that only remembers, so that this user's is left alone.
    let table = "";
    const run = (words: readonly string[], input?: string) => {
      if (words.at(-1) === "-") table = input ?? "";
      return Promise.resolve({ status: 0, out: table, err: "" });
    };
    const plan = planService(service("cron", {
      scope: "user",
      home: home.path,
      authorities: undefined,
      settings: { "domain": ground.url, "health-listen": ground.arguments.at(-1)! },
      secrets: { token },
    }));
    await installService(plan, { run });
    const found = await examine([], {
      env: {
        HOME: home.path,
        INFISICAL_TOKEN: "of-this-shell",
        INFISICAL_DOMAIN: "http://x.invalid",
      },
    });
    const { config, service: named } = JSON.parse(found.text);
    assert.deepEqual([config, named], [plan.places.config, "sallyport-edge-1"]);
    assert.equal(found.of("credentials").status, "pass", found.text);
    assert.equal(found.of("round-trip").status, "pass", found.text);
    assert.match(found.of("service").finding, /^sallyport-edge-1 \(cron\) does not run/);
    assert.match(found.of("files").finding, /^3 files are closed to others/);
    assert.ok(!found.text.includes(token));

    const own = join(home.path, "own.json");
    await writeFile(own, JSON.stringify({ domain: "http://127.0.47.1:9", token: "in-the-open" }));
    const other = await examine(["--config", own], { env: { HOME: home.path } });
    assert.equal(other.of("platform-port").status, "fail");
    assert.match(other.of("files").finding, /own\.json can be read by everybody/);
    assert.ok(!other.text.includes("in-the-open"));
  },
});
