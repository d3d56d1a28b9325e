/** The company's proxy: all through it, one that refuses, one that is away, and its password. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import type { CheckId, CheckResult } from "../../../src/diagnostic/doctor/check.ts";
import { runChild } from "../../child.ts";
import { freePort } from "../../lab_process.ts";
import { ROOT } from "../../requirements.ts";
import { GATEWAY, gatewayToken, HOST, prepare } from "./fixture.ts";

const PROXY = "127.0.47.3";
const PASSWORD = "proxy-password-of-ours";

/** Joins what it is asked for, or answers with `status`. */
async function proxy(status = 200) {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (request, near: Socket) => {
    asked.push(request.url!);
    near.on("error", () => {});
    if (status !== 200) return void near.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const { hostname, port } = new URL(`tcp://${request.url}`);
    const far = connect({ host: hostname, port: Number(port), allowHalfOpen: true }, () => {
      near.write("HTTP/1.1 200 OK\r\n\r\n");
    });
    far.on("error", () => near.destroy());
    near.on("close", () => far.destroy());
    near.pipe(far).pipe(near);
  });
  server.listen(0, PROXY);
  await once(server, "listening");
  return {
    asked,
    address: `${PROXY}:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** fetch reads the variables of its own process, so doctor gets one. */
async function doctor(args: string[], env: Record<string, string>) {
  const { status, out, err } = await runChild(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts"), "doctor"],
      ...[GATEWAY, "--json", "--timeout", "3s", ...args],
    ],
    env,
  });
  assert.ok(out.startsWith("{"), err);
  const { checks } = JSON.parse(out) as { checks: CheckResult[] };
  const of = (id: CheckId) => checks.find((check) => check.id === id)!;
  return { status, text: out + err, of };
}

Deno.test("everything through a proxy with a password, which is shown nowhere", async () => {
  await using ground = await prepare({ tlsHost: HOST });
  await using between = await proxy();
  const found = await doctor([
    ...[...ground.arguments, "--ca-file", ground.caFile],
    ...["--token", gatewayToken(ground.admin, ground.secrets), "--log-level", "debug"],
  ], { HTTPS_PROXY: `http://us-er:${PASSWORD}@${between.address}` });
  assert.equal(found.status, 0, found.text);
  assert.match(
    found.of("proxy").finding,
    new RegExp(`platform through ${between.address}, relay through ${between.address}`),
  );
  assert.match(found.of("platform-name").finding, /looked up by the proxy/);
  assert.match(found.of("platform-port").finding, /through the proxy/);
  assert.equal(found.of("round-trip").status, "pass");
  const relay = `${HOST}:${ground.relay.ssh.port}`;
  assert.ok(between.asked.includes(new URL(ground.url).host) && between.asked.includes(relay));
  for (const secret of [PASSWORD, ...ground.secrets]) assert.ok(!found.text.includes(secret));
});

Deno.test("a proxy that forbids the port says so, and the platform is not taken for reachable", async () => {
  await using ground = await prepare({ tlsHost: HOST });
  const token = ["--token", gatewayToken(ground.admin, ground.secrets)];
  await using between = await proxy(403);
  const found = await doctor([...ground.arguments, "--ca-file", ground.caFile, ...token], {
    HTTPS_PROXY: `http://${between.address}`,
  });
  assert.equal(found.of("platform-port").status, "fail", found.text);
  assert.match(found.of("platform-port").finding, /answers 403 to CONNECT/);
  assert.match(found.of("platform-port").remedy!, /must allow CONNECT to port/);
  assert.equal(found.status, 1);
});

Deno.test("a proxy that is away, or no URL, is named with its variable", async () => {
  const port = await freePort(PROXY);
  const args = ["--domain", "https://platform.example", "--token", "nobody-s-token"];
  const away = await doctor(args, { HTTPS_PROXY: `http://${PROXY}:${port}` });
  assert.match(away.of("platform-port").finding, new RegExp(`^${PROXY}:${port} refuses`));
  assert.match(
    away.of("platform-port").remedy!,
    new RegExp(`start the proxy.*--relay ${PROXY}:${port}$`),
  );
  const wrong = await doctor(args, { HTTPS_PROXY: `ftp://user:${PASSWORD}@proxy` });
  assert.match(wrong.of("proxy").finding, /HTTPS_PROXY is not the URL of a proxy/);
  assert.ok(!wrong.text.includes(PASSWORD));
});
