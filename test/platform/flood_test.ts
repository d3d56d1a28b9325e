/**
 * Connections by the thousand against a platform of its own process, with an honest client beside them.
 * SALLYPORT_TEST_LONG=1 makes it 5,000 and prints what was measured.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import { startChild } from "../child.ts";
import { ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { ask, RawClient, requestText } from "./raw_client.ts";

const LONG = process.env.SALLYPORT_TEST_LONG === "1";
const CONNECTIONS = LONG ? 5_000 : 1_200;
/** As many addresses as it takes to fill all places. */
const ADDRESSES = 10;
const WORDS = ["", "GET /api/st", "POST /api/v1/auth/universal-auth/login HTTP/1.1\r\nhost: x\r\n"];

/** Resident memory of a process, MB. */
function memoryOf(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line![1]) / 1024;
}

/** Connections that a platform grants which may have so many files open. */
const ROOM = [[20_000, 1024], [512, 256]] as const;

for (const [files, room] of ROOM) {
  Deno.test({
    name:
      `${CONNECTIONS} connections at once that say nothing or half, and ${files} files that may ` +
      "be open: an honest client is served",
    ignore: process.platform !== "linux",
    fn: () => flood(files, room),
  });
}

async function flood(files: number, room: number): Promise<void> {
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, "data");
  await initPlatform({ dataDir });
  const admin = PlatformAdmin.open(dataDir);
  admin.createIdentity({ name: "honest", roles: ["gateway"] });
  const { token } = admin.createIdentityToken({ identity: "honest" });
  admin.close();
  await using child = startChild("sh", {
    args: [
      ...["-c", `ulimit -n ${files} 2> /dev/null; exec "$@"`, "sh", Deno.execPath()],
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
      ...["platform", "start", "--data", dataDir, "--listen", "127.0.73.5:0"],
    ],
  });
  const url = /serves (http:\S+);/.exec(await child.line(/The platform serves/))![1]!;
  const honest = async () => {
    const started = performance.now();
    const request = requestText("GET", "/api/v1/relays", [`authorization: Bearer ${token}`]);
    const { status } = await ask(url, request, { from: "127.0.73.6" });
    assert.equal(status, 200);
    return performance.now() - started;
  };
  await honest();
  const before = memoryOf(child.pid);
  const attackers: RawClient[] = [];
  const times: number[] = [];
  let most = before;
  for (let i = 0; i < CONNECTIONS; i++) {
    const client = new RawClient(url, { from: `127.0.73.${100 + i % ADDRESSES}` });
    client.socket.once("connect", () => client.send(WORDS[i % WORDS.length]!));
    attackers.push(client);
    if (i % 50 !== 49) continue;
    times.push(await honest());
    most = Math.max(most, memoryOf(child.pid));
  }
  const open = attackers.filter(({ socket }) => !socket.destroyed).length;
  assert.ok(open <= room, `${open} are open`);
  assert.ok(most - before < 100, `${most - before} MB more`);
  times.sort((a, b) => a - b);
  const figures = `${CONNECTIONS} connections, ${open} of them open in the end; ` +
    `${times.length} honest requests in ${times[times.length >> 1]!.toFixed(1)} ms (median), ` +
    `${times.at(-1)!.toFixed(1)} ms (longest); ` +
    `memory ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most`;
  if (LONG) console.log(figures);
  for (const { socket } of attackers) socket.destroy();
  child.kill("SIGTERM");
  assert.equal(await child.status, 0);
}
