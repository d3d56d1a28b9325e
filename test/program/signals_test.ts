/** How the program takes signals, as processes of their own, from source. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

const ignore = process.platform === "win32";

async function gateway(folder: string, ...more: string[]) {
  const nobody = await freePort("127.0.0.1");
  return startChild(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
      ...["gateway", "start", "edge", "--token", "t", "--health-listen", "off"],
      ...["--domain", `http://127.0.0.1:${nobody}`, "--state-dir", folder, ...more],
    ],
  });
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test({
    name: `${signal} ends a gateway with status 0, also while nobody answers it`,
    ignore,
    async fn() {
      await using folder = await temporaryFolder();
      await using child = await gateway(folder.path);
      await child.line(/trying again/);
      child.kill(signal);
      assert.equal(await child.status, 0);
      assert.match(child.log, /the gateway has stopped/);
    },
  });
}

Deno.test({
  name: "SIGHUP reads the configuration again, and a wrong one changes nothing",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const config = join(folder.path, "sallyport.json");
    await writeFile(config, JSON.stringify({ "log-format": "text" }));
    await using child = await gateway(folder.path, "--config", config);
    await child.line(/INFO .*trying again/);
    await writeFile(config, JSON.stringify({ "log-format": "json" }));
    child.kill("SIGHUP");
    assert.match(await child.line(/configuration read again/), /^\{"time":/);
    await writeFile(config, "{");
    child.kill("SIGHUP");
    assert.match(await child.line(/not read again/), /"level":"error".*not JSON/);
    child.kill("SIGTERM");
    assert.equal(await child.status, 0);
  },
});

Deno.test({
  name: "a configuration that changes is read again, and what needs a new start is named",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const config = join(folder.path, "sallyport.yaml");
    await writeFile(config, "max-channels: 5\nlog-format: text\n");
    await using child = await gateway(folder.path, "--config", config);
    await child.line(/INFO .*trying again/);
    await writeFile(config, "max-channels: 6\nlog-format: json\n");
    assert.match(await child.line(/configuration read again/), /^\{"time":/);
    assert.match(await child.line(/only for the next start/), /"names":"max-channels"/);
    child.kill("SIGTERM");
    assert.equal(await child.status, 0);
  },
});
