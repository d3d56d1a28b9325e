/** The compiled binary, as the units for systemd run it, in every part of the system at once. */
import assert from "node:assert/strict";
import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Service } from "../../src/service/description.ts";
import { planService } from "../../src/service/plan.ts";
import { runChild, startChild } from "../child.ts";
import { freePort } from "../lab_process.ts";
import { BINARY, build } from "../program/built_binary.ts";
import { requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { service } from "./fake_host.ts";
import { ManagerSocket } from "./manager_socket.ts";

const { ignore } = requirement("denort", "python3", "systemd-analyze", "namespaces");
const HOST = "127.0.75.1";
const NOBODY = 65534;
const STATE = "/var/lib/sallyport";
const PROGRAM = "/run/sallyport";

function unitOf(more: Partial<Service> = {}): string {
  return planService(service("systemd", more)).files
    .find(({ path }) => path.endsWith(".service"))!.text;
}

interface Confinement {
  unit: string;
  /** A folder that nobody owns, to be the service's state. */
  state: string;
  /** Files of the host by the names under which they are seen. */
  files?: Record<string, string>;
  env?: Record<string, string>;
  unconfined?: boolean;
}

function confined(
  { unit, state, files, env, unconfined }: Confinement,
  ...command: string[]
): string[] {
  const spec = {
    unit,
    unconfined,
    writable: { [STATE]: state },
    readable: { [PROGRAM]: BINARY, ...files },
    // As a service's, it has no home.
    environment: { STATE_DIRECTORY: STATE, ...env },
  };
  return [join(ROOT, "test", "service", "confine.py"), JSON.stringify(spec), ...command];
}

async function ownedByNobody(path: string): Promise<string> {
  await mkdir(path, { mode: 0o700 });
  await chown(path, NOBODY, NOBODY);
  return path;
}

Deno.test({
  name: "platform, relay, gateway and client, each confined as the unit says, carry a request",
  ignore,
  async fn() {
    await build();
    await using folder = await temporaryFolder();
    // To nobody, what is mounted from here must be within reach.
    await chmod(folder.path, 0o755);
    const state = (name: string) => ownedByNobody(join(folder.path, name));
    const [api, ssh, tls, local] = await Promise.all(
      Array.from({ length: 4 }, () => freePort(HOST)),
    ) as [number, number, number, number];
    const unit = unitOf();
    const env = { INFISICAL_DOMAIN: `http://${HOST}:${api}` };

    const data = { unit, state: await state("data"), env: { SALLYPORT_PLATFORM_DATA: STATE } };
    const ask = async (...args: string[]) => {
      const { status, out, err } = await runChild("python3", {
        args: confined(data, PROGRAM, ...args),
      });
      assert.equal(status, 0, err);
      return out.trim();
    };
    await ask("platform", "init");
    await ask("platform", "identity", "create", "the-relay", "--role", "relay");
    await ask("platform", "identity", "create", "me", "--role", "client");
    const files: Record<string, string> = {};
    for (
      const [name, ...whose] of [
        ["relay", "--identity", "the-relay"],
        ["client", "--identity", "me"],
        ["gateway", "--gateway", "edge"],
      ] as const
    ) {
      const token = join(folder.path, name);
      await writeFile(token, await ask("platform", "token", "create", ...whose), { mode: 0o400 });
      await chown(token, NOBODY, NOBODY);
      files[`/run/credentials/${name}`] = token;
    }
    const start = (confinement: Confinement, ...args: string[]) =>
      startChild("python3", { args: confined(confinement, PROGRAM, ...args) });
    await using platform = start(data, "platform", "start", "--listen", `${HOST}:${api}`);
    await platform.line(/serves http/);
    await using relay = start(
      { unit: unitOf({ role: "relay" }), state: await state("relay-state"), files, env },
      ...["relay", "start", "--name", "r1", "--host", HOST],
      ...["--token", "@/run/credentials/relay"],
      ...["--ssh-listen", `${HOST}:${ssh}`, "--tls-listen", `${HOST}:${tls}`],
    );
    await relay.line(/relay r1 serves/);
    await using manager = await ManagerSocket.open();
    await chmod(manager.name, 0o666);
    const own = await state("gateway-state");
    await using gateway = start(
      {
        unit,
        state: own,
        files: { ...files, "/run/notify": manager.name },
        env: { ...env, NOTIFY_SOCKET: "/run/notify" },
      },
      ...["gateway", "start", "edge", "--relay", "r1", "--enroll-method", "token"],
      ...["--token", "@/run/credentials/gateway", "--health-listen", `unix:${STATE}/health`],
      ...["--audit-file", `${STATE}/audit`, "--audit-size", "600", "--audit-keep", "2"],
    );
    await gateway.line(/tunnel is up/);
    await manager.of(/^READY=1$/);

    await using target = Deno.serve(
      { hostname: HOST, port: 0, onListen: () => {} },
      async (request) => new Response(`private: ${await request.text()}`),
    );
    await using client = start(
      { unit, state: await state("client-state"), files, env },
      ...["connect", "edge", `${HOST}:${target.addr.port}`],
      ...["--token", "@/run/credentials/client", "--listen", `${HOST}:${local}`],
    );
    await client.line(/leads to/);
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://${HOST}:${local}/`, {
        method: "POST",
        body: `${i}`,
        headers: { connection: "close" },
      });
      assert.equal(await answer.text(), `private: ${i}`);
    }
    for (const child of [client, gateway, relay, platform]) {
      const lines = await readFile(`/proc/${child.pid}/status`, "utf8");
      assert.match(lines, /^Uid:(\t65534){4}$/m);
      assert.match(lines, /^CapBnd:\t0+$/m);
      assert.match(lines, /^NoNewPrivs:\t1$/m);
      assert.match(lines, /^Seccomp:\t2$/m);
      assert.match(
        await readFile(`/proc/${child.pid}/limits`, "utf8"),
        /^Max core file size +0 +0 /m,
      );
      child.kill("SIGTERM");
      assert.equal(await child.status, 0, child.log);
    }
    await manager.of(/^STOPPING=1$/);
    // Its state and its audit files were made and replaced there.
    assert.match(await readFile(join(own, "gateway-edge.json"), "utf8"), /accessToken/);
    assert.match(await readFile(join(own, "audit.1"), "utf8"), /"event":"open"/);
  },
});

Deno.test({
  name:
    "from within the unit's confinement: other processes, the machine, set-user-id files, namespaces",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    await chmod(folder.path, 0o755);
    const state = await ownedByNobody(join(folder.path, "state"));
    const attempts = join(ROOT, "test", "service", "confinement_attempts.py");
    const tried = async (unconfined: boolean) => {
      const files = { "/run/attempts": attempts };
      const { status, out, err } = await runChild("python3", {
        args: confined(
          { unit: unitOf(), state, files, unconfined },
          "/usr/bin/env",
          ...["PATH=/usr/local/bin:/usr/bin:/bin", "python3", "/run/attempts", STATE],
        ),
      });
      assert.equal(status, 0, err);
      return JSON.parse(out) as Record<string, boolean>;
    };
    const [before, after] = [await tried(true), await tried(false)];
    for (const [what, done] of Object.entries(after)) {
      assert.equal(done, what.startsWith("own "), what);
      // Some kernels do without these for everybody.
      if (/kernel|namespace/.test(what)) continue;
      assert.ok(before[what], `without the unit: ${what}`);
    }
  },
});
