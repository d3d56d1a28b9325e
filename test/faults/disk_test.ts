/** State folders that take nothing: a full disk, and one that is read-only. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EXIT } from "../../src/errors.ts";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import { startPlatform } from "../../src/platform/platform.ts";
import { type Child, runChild, startChild } from "../child.ts";
import { GATEWAY, RELAY, startTestRelay } from "../interop/lab_system.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { ownNamespace } from "./arena.ts";
import { figure } from "./figures.ts";

const HOST = "127.0.50.7";

/** Our platform and relay, and gateways that enrol with one token. */
async function startEnrolment() {
  const stack = new AsyncDisposableStack();
  const dataDir = join(stack.use(await temporaryFolder()).path, "data");
  await initPlatform({ dataDir, keyType: "ecdsa" });
  const stop = new AbortController();
  const platform = await startPlatform({ dataDir, listen: { host: HOST, port: 0 } }, stop.signal);
  stack.defer(async () => {
    stop.abort();
    await platform.finished;
  });
  const admin = PlatformAdmin.open(dataDir);
  const { id } = admin.createIdentity({ name: "relays", roles: ["relay"] });
  const { token } = admin.createIdentityToken({ identity: id });
  const enrolment = admin.createGatewayToken({ gateway: GATEWAY }).token;
  admin.close();
  stack.use(await startTestRelay("ours", { url: platform.url, token }, HOST));
  return {
    gateway(stateDir: string): Child {
      const args = ["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src/main.ts")];
      args.push("gateway", "start", GATEWAY, "--relay", RELAY, "--domain", platform.url);
      args.push("--enroll-method", "token", "--health-listen", "off", "--state-dir", stateDir);
      return startChild(Deno.execPath(), { args, env: { INFISICAL_TOKEN: enrolment } });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A small file system of its own at `path`. */
async function mount(path: string, options: string): Promise<AsyncDisposable> {
  const args = ["-t", "tmpfs", "-o", options, "tmpfs", path];
  const { status, err } = await runChild("mount", { args });
  assert.equal(status, 0, err);
  return {
    async [Symbol.asyncDispose]() {
      await runChild("umount", { args: [path] });
    },
  };
}

for (
  const { what, options, fill, says, free } of [
    {
      what: "a full disk",
      options: "size=64k,mode=700",
      fill: (path: string) => writeFile(join(path, "full"), new Uint8Array(60 * 1024)),
      says: /cannot write .*: the disk is full/,
      free: (path: string) => Deno.remove(join(path, "full")),
    },
    {
      what: "a read-only folder",
      options: "size=64k,mode=700,ro",
      fill: () => Promise.resolve(),
      says: /cannot write .*: the file system is read-only/,
      free: (path: string) => runChild("mount", { args: ["-o", "remount,rw", path] }),
    },
  ]
) {
  Deno.test({
    name:
      `${what} for the state: it is said before the one-time token is spent, which still works later`,
    ignore: !ownNamespace(),
    async fn() {
      await using folder = await temporaryFolder();
      await using _disk = await mount(folder.path, options);
      await fill(folder.path);
      await using enrolment = await startEnrolment();
      await using refused = enrolment.gateway(folder.path);
      assert.notEqual(await refused.status, EXIT.ok);
      assert.match(refused.log, says);
      assert.match(refused.log, /--state-dir/);
      await free(folder.path);
      await using gateway = enrolment.gateway(folder.path);
      await gateway.line(/tunnel is up/);
      figure(`${what} for the state`, "said at start; the one-time token is not spent");
    },
  });
}
