/** `relay start` with a one-time token, as a process of its own, from source. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { EXIT } from "../../src/errors.ts";
import { startChild } from "../child.ts";
import { platform } from "../platform/fixture.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";

Deno.test("a relay enrols once, and starts again without its one-time token", async () => {
  await using p = await platform();
  await using folder = await temporaryFolder();
  const { token } = p.admin.createRelayToken({ relay: "r1" });
  const relay = (stateDir: string, env: Record<string, string> = {}) =>
    startChild(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
        ...["relay", "start", "--name", "r1", "--host", "127.0.0.1", "--domain", p.url],
        ...["--enroll-method", "token", "--state-dir", stateDir],
        ...["--ssh-listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"],
      ],
      env,
    });
  const serves = async (env?: Record<string, string>) => {
    await using child = relay(folder.path, env);
    await child.line(/relay r1 serves/);
    child.kill("SIGTERM");
    assert.equal(await child.status, EXIT.ok);
    return child.log;
  };
  assert.match(await serves({ INFISICAL_TOKEN: token }), /enrolled as relay/);
  assert.deepEqual(await readdir(folder.path), ["relay-r1.json"]);
  assert.doesNotMatch(await serves(), /enrolled as relay/);
  const [listed] = p.admin.relays();
  assert.equal(listed?.name, "r1");
  assert.ok(listed.heartbeat);

  await using running = relay(folder.path);
  await running.line(/relay r1 serves/);
  assert.equal(p.admin.revokeRelay({ relay: "r1" }), true);
  assert.equal(await running.status, EXIT.revoked);
  assert.match(running.log, /the relay "r1" was revoked at/);

  await using elsewhere = await temporaryFolder();
  await using spent = relay(elsewhere.path, { INFISICAL_TOKEN: token });
  assert.equal(await spent.status, EXIT.credentials);
  assert.match(spent.log, /works once/);
});
