// deno-lint-ignore-file no-control-regex -- what a terminal is told is what is tested
/** `sallyport status` against a gateway's real state and server. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { runCli } from "../../src/cli/cli.ts";
import type { Terminal } from "../../src/cli/context.ts";
import { SallyportError } from "../../src/errors.ts";
import { type HealthServer, serveHealth } from "../../src/health/server.ts";
import { LinkState } from "../../src/link/state.ts";
import { VERSION } from "../../src/version.ts";
import { runChild } from "../child.ts";
import { fakeServer } from "../fake_server.ts";
import { freePort } from "../lab_process.ts";
import { requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { until } from "../virtual_clock.ts";

const LOST = new SallyportError("ssh-closed", "no sign of life for 10000 ms", { hint: "wait" });
const BACK = { phase: "up", reconnects: 1 } as const;

/** A command that runs until it ends or is stopped. */
function start(args: string[], more: { env?: Record<string, string>; terminal?: Terminal } = {}) {
  const stop = new AbortController();
  const said = { out: "", err: "" };
  const status = runCli(["status", "--log-level", "error", ...args], {
    out: (text) => said.out += `${text}\n`,
    err: (text) => said.err += `${text}\n`,
    env: more.env ?? {},
    terminal: more.terminal,
    signal: stop.signal,
    onReload: () => {},
  });
  return { said, status, stop: () => stop.abort() };
}

async function run(args: string[], env: Record<string, string> = {}) {
  const { said, status } = start(args, { env });
  return { status: await status, ...said };
}

async function withGateway(
  work: (gateway: { state: LinkState; address: string; server: HealthServer }) => Promise<void>,
  listen = "127.0.46.20:0",
): Promise<void> {
  const state = new LinkState("edge-1");
  state.measureBy({
    channels: () => ({
      open: 3,
      served: 1284,
      failed: 7,
      refused: 2,
      bytesIn: 4200,
      bytesOut: 38_000_000,
    }),
    latency: () => 18.4,
  });
  state.update({
    phase: "up",
    relay: { name: "r1", address: "relay.example:2222" },
    heartbeat: new Date(),
    certificatesEnd: new Date(Date.now() + 90_000_000),
    nextRenewal: new Date(Date.now() + 3_700_000),
  });
  const server = (await serveHealth(state, listen))!;
  try {
    await work({ state, address: server.address, server });
  } finally {
    await server.close();
  }
}

Deno.test("a tunnel that is up is told in words, with status 0", () =>
  withGateway(async ({ address }) => {
    const { status, out, err } = await run(["--health", address]);
    assert.deepEqual([status, err], [0, ""]);
    assert.match(out, /^edge-1: the tunnel is up through relay\.example:2222, for \d+ m?s\n/);
    for (
      const line of [
        /relay +r1 at relay\.example:2222, 18\.4 ms away/,
        /channels +3 open, 1284 served, 7 failed/,
        /carried +4\.2 kB to targets, 38 MB from targets/,
        /certificates +end in 1 d, to be renewed in 1 h 1 min/,
        /heartbeat +\d+ m?s ago/,
      ]
    ) assert.match(out, line);
    assert.doesNotMatch(out, /last error|\x1b/);
  }));

Deno.test("a gateway without a tunnel is told with why and what to do, and status 1", () =>
  withGateway(async ({ address, state }) => {
    state.fault(LOST, "down");
    const { status, out, err } = await run(["--health", address]);
    assert.deepEqual([status, err], [1, ""]);
    assert.match(out, /^edge-1: the tunnel is down: no sign of life for 10000 ms, for /);
    assert.match(out, /last error +\d+ m?s ago: no sign of life for 10000 ms\n +wait\n/);
    for (const phase of ["starting", "connecting", "draining"] as const) {
      state.update({ phase });
      assert.equal((await run(["--health", address])).status, 1, phase);
    }
    state.update(BACK);
    assert.equal((await run(["--health", address])).status, 0);
  }));

Deno.test("--json is what the gateway says, with the same statuses", () =>
  withGateway(async ({ address, state }) => {
    const up = await run(["--json", "--health", address]);
    const { gateway, version, ready } = JSON.parse(up.out);
    assert.deepEqual([up.status, gateway, version, ready], [0, "edge-1", VERSION, true]);
    state.fault(LOST, "down");
    const down = await run(["--json", "--health", address]);
    assert.deepEqual([down.status, JSON.parse(down.out).phase], [1, "down"]);
  }));

Deno.test("the address is the gateway's own setting: variable, socket, wildcard", async () => {
  await using folder = await temporaryFolder();
  await withGateway(async ({ address }) => {
    assert.equal((await run([], { SALLYPORT_HEALTH_LISTEN: address })).status, 0);
  });
  if (process.platform !== "win32") {
    const listen = `unix:${join(folder.path, "health.sock")}`;
    await withGateway(async () => {
      assert.equal((await run(["--health-listen", listen])).status, 0);
    }, listen);
  }
  const port = await freePort("127.0.0.1");
  await withGateway(async () => {
    assert.equal((await run(["--health", `0.0.0.0:${port}`])).status, 0);
    assert.equal((await run(["--health", `:${port}`])).status, 0);
  }, `127.0.0.1:${port}`);
});

Deno.test("where no gateway answers, that is said, with status 5", async () => {
  const port = await freePort("127.0.46.21");
  const nobody = await run(["--health", `127.0.46.21:${port}`, "--json"]);
  assert.deepEqual([nobody.status, nobody.out], [5, ""]);
  assert.match(nobody.err, /no gateway answers at 127\.0\.46\.21:\d+: connection refused\n {2}see/);
  const socket = await run(["--health", "unix:/no/such/socket"]);
  assert.equal(socket.status, 5);
  assert.match(socket.err, /unix:\/no\/such\/socket: there is no such socket/);
});

Deno.test("something else that answers is no gateway, and another version is named", async () => {
  let body = "<html>";
  await using other = fakeServer(() => new Response(body));
  const address = new URL(other.url).host;
  const stranger = await run(["--health", address]);
  assert.equal(stranger.status, 5);
  assert.match(stranger.err, /what answers at .* is no gateway/);
  body = JSON.stringify({ version: "9.0.0", gateway: "edge-1", phase: "levitating" });
  assert.match((await run(["--health", address])).err, /has version 9\.0\.0/);
});

Deno.test("off, and what is no address, is wrong usage", async () => {
  for (const address of ["off", "8222", "unix:here"]) {
    const { status, err, out } = await run(["--health", address]);
    assert.deepEqual([status, out], [2, ""], address);
    assert.match(err, /--health/);
  }
});

Deno.test("help tells the exit statuses", async () => {
  const { status, out } = await run(["--help"]);
  assert.equal(status, 0);
  assert.match(
    out.replace(/\s+/g, " "),
    /Exit statuses: 0 the tunnel is up 1 .* 5 no gateway answers/,
  );
});

Deno.test("watched into a file, each change is one line, until it is stopped with status 0", () =>
  withGateway(async ({ address, state, server }) => {
    const { said, status, stop } = start(["--watch", "--health", address]);
    const lines = () => said.out.split("\n").slice(0, -1);
    await until(() => lines().length === 1, "the first line");
    state.fault(LOST, "down");
    await until(() => lines().length === 2, "the loss is told");
    state.update(BACK);
    await until(() => lines().length === 3, "the recovery is told");
    await server.close();
    await until(() => lines().length === 4, "the silence is told");
    stop();
    assert.equal(await status, 0);
    const [up, down, again, silent] = lines().map((line) => line.replace(/^[\d:TZ-]+ {2}/, ""));
    assert.equal(up, "edge-1: the tunnel is up through relay.example:2222");
    assert.equal(down, "edge-1: the tunnel is down: no sign of life for 10000 ms");
    assert.equal(again, up);
    assert.match(silent!, /^no gateway answers at .*: connection refused$/);
    assert.deepEqual([said.err, /\x1b/.test(said.out)], ["", false]);
  }));

Deno.test("watched as JSON, every look is one object a line", () =>
  withGateway(async ({ address, state }) => {
    const { said, status, stop } = start(["--watch", "--json", "--health", address]);
    const objects = () => said.out.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    await until(() => objects().length === 1, "a first object");
    state.fault(LOST, "down");
    await until(() => objects().at(-1).phase === "down", "the loss");
    stop();
    assert.equal(await status, 0);
  }));

Deno.test("watched on a terminal, the view is drawn over and over, and the old screen comes back", () =>
  withGateway(async ({ address, state }) => {
    const terminal = { columns: () => 60, rows: () => 12, colours: true };
    const { said, status, stop } = start(["--watch", "--health", address], { terminal });
    const frames = () => said.out.split("\x1b[H").slice(1);
    await until(() => /tunnel is up/.test(frames().at(-1)!), "a view of a tunnel that is up");
    assert.ok(said.out.startsWith("\x1b[?1049h\x1b[?25l"));
    state.fault(LOST, "down");
    await until(() => /tunnel is down/.test(frames().at(-1)!), "a view of the loss");
    const frame = frames().at(-1)!;
    assert.match(frame, /\x1b\[31m● edge-1: the tunnel is down/);
    const shown = frame.replace(/\x1b\[[\d;]*[A-Za-z]/g, "").split("\n").slice(0, -1);
    assert.ok(shown.length <= 11, `${shown.length} lines`);
    for (const line of shown) assert.ok([...line].length <= 60, line);
    stop();
    assert.equal(await status, 0);
    assert.match(said.out, /\x1b\[\?1049l\x1b\[\?25hedge-1: the tunnel is down: .*\n$/);
  }));

Deno.test("NO_COLOR takes the colours, and a dumb terminal gets lines", () =>
  withGateway(async ({ address }) => {
    const seen = async (env: Record<string, string>) => {
      const terminal = { columns: () => 80, rows: () => 40, colours: !env.NO_COLOR };
      const { said, status, stop } = start(["--watch", "--health", address], { terminal, env });
      await until(() => said.out.includes("tunnel is up"), "the first look");
      stop();
      assert.equal(await status, 0);
      return said.out;
    };
    assert.match(await seen({}), /\x1b\[32m/);
    assert.doesNotMatch(await seen({ NO_COLOR: "1" }), /\x1b\[[\d;]*m/);
    assert.doesNotMatch(await seen({ TERM: "dumb" }), /\x1b/);
  }));

Deno.test("what an error says cannot move the cursor", () =>
  withGateway(async ({ address, state }) => {
    state.fault(new SallyportError("ssh-closed", "gone\x1b[2J\x9b2J\r\nhello"), "down");
    const { out } = await run(["--health", address]);
    assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    assert.match(out, /gone \[2J 2J hello/);
  }));

/** Runs a program in a terminal of its own, types Ctrl-C when it shows something, prints what it did. */
const PTY = `
import os, pty, re, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, sent, late = b"", False, time.time() + 20
while time.time() < late:
    if fd in select.select([fd], [], [], 0.1)[0]:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        seen += data
    if not sent and re.search(sys.argv[1].encode(), seen):
        os.write(fd, b"\\x03")
        sent = True
else:
    os.kill(pid, 9)
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

Deno.test({
  name: "Ctrl-C on a real terminal ends the view with status 0 and gives the screen back",
  ...requirement("python3"),
  fn: () =>
    withGateway(async ({ address }) => {
      const { status, out, err } = await runChild("python3", {
        args: [
          ...["-c", PTY, "tunnel is up", Deno.execPath()],
          ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
          ...["status", "--watch", "--health", address],
        ],
        env: { TERM: "xterm" },
      });
      assert.equal(status, 0, out + err);
      assert.match(out, /\x1b\[\?1049h\x1b\[\?25l/);
      assert.match(out, /\x1b\[\?1049l\x1b\[\?25hedge-1: the tunnel is up through [^\n]*\r\n$/);
    }),
});
