import assert from "node:assert/strict";
import { lstat, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { serveHealth } from "../../src/health/server.ts";
import { LinkState } from "../../src/link/state.ts";
import { runChild } from "../child.ts";
import { temporaryFolder } from "../temporary.ts";

const ignore = process.platform === "win32";

function get(socketPath: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => {
      let body = "";
      response.on("data", (chunk) => body += chunk);
      response.on("end", () => resolve({ status: response.statusCode!, body }));
    }).on("error", reject).end();
  });
}

const exists = (path: string) => lstat(path).then(() => true, () => false);
const serve = async (path: string) => (await serveHealth(new LinkState("g"), `unix:${path}`))!;

/** A socket whose program was killed. */
async function deadSocket(path: string): Promise<void> {
  const program = `Deno.listen({ transport: "unix", path: ${JSON.stringify(path)} });
    Deno.kill(Deno.pid, "SIGKILL");`;
  await runChild(Deno.execPath(), { args: ["eval", program] });
  assert.ok((await lstat(path)).isSocket());
}

Deno.test({
  name: "health on a socket is for its user alone, answers, and leaves nothing behind",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "health.sock");
    const mask = process.umask();
    const server = await serve(path);
    assert.equal(process.umask(), mask);
    assert.equal(server.address, `unix:${path}`);
    assert.equal((await lstat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await get(path, "/healthz"), { status: 200, body: "ok\n" });
    assert.equal((await get(path, "/readyz")).status, 503);
    await server.close();
    assert.equal(await exists(path), false);
  },
});

Deno.test({
  name: "a dead socket is taken over, a live one is left alone",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "health.sock");
    await deadSocket(path);
    const first = await serve(path);
    await assert.rejects(serve(path), {
      code: "port-in-use",
      message: `${path} is already in use by another program`,
      hint: /--health-listen/,
    });
    assert.equal((await get(path, "/healthz")).status, 200);
    await first.close();
  },
});

Deno.test({
  name: "what is no socket is never removed, not even a link to one",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "file");
    await writeFile(file, "precious");
    await assert.rejects(serve(file), { code: "listen", message: /something else of this name/ });
    const dead = join(folder.path, "dead.sock");
    await deadSocket(dead);
    const link = join(folder.path, "link.sock");
    await symlink(dead, link);
    await assert.rejects(serve(link), { code: "listen" });
    for (const path of [file, dead, link]) assert.ok(await exists(path), path);
    await assert.rejects(serve(join(folder.path, "no", "folder")), {
      code: "listen",
      message: /no such folder/,
    });
  },
});
