/**
 * No secret in what the program says: errors, logs, doctor, configuration, health. The secrets are where
 * people put them, and where a peer may send them back.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "../child.ts";
import { fakeServer, json } from "../fake_server.ts";
import { freePort } from "../lab_process.ts";
import { ROOT } from "../requirements.ts";
import { noteSecret } from "../secret_watch.ts";
import { temporaryFolder } from "../temporary.ts";
import { within } from "../within.ts";
import { cli } from "./run.ts";

const SECRET = "s3cr3t-0f-the-pe0ple";
const PASSWORD = "pa55w0rd-of-the-proxy";
for (const secret of [SECRET, PASSWORD]) noteSecret("a secret of secrets_test", secret);

/** Neither as it is nor as HTTP sends it. */
function assertNothingIn(text: string): void {
  for (const secret of [SECRET, PASSWORD, `user:${PASSWORD}`]) {
    assert.ok(!text.includes(secret), text);
    assert.ok(!text.includes(Buffer.from(secret).toString("base64").replace(/=+$/, "")), text);
  }
}

const start = ["gateway", "start", "edge", "--health-listen", "off"];

/** Runs a command that is to fail within moments, with all that it can say. */
async function said(args: string[], env: Record<string, string> = {}): Promise<string> {
  // Where a command may try again it does, until then.
  const signal = AbortSignal.timeout(2_000);
  const { out, err } = await cli([...args, "--log-level", "debug"], { env, signal });
  return out + err;
}

Deno.test("a platform that sends secrets back, in every status, puts none into an error", async () => {
  await Promise.all([400, 401, 403, 404, 409, 422, 302, 200].map(async (status) => {
    await using platform = fakeServer((request) => {
      const token = request.headers.get("authorization");
      const message = `no: ${token}, "${SECRET}", https://user:${PASSWORD}@x/`;
      return json({ message, error: message, accessToken: SECRET }, status, {
        location: `https://user:${PASSWORD}@x/login?token=${SECRET}`,
      });
    });
    const text = await said([...start, "--domain", platform.url, "--token", SECRET]);
    assertNothingIn(text);
    if (status !== 200) assert.match(text, /sallyport: GET http/, `${status}: ${text}`);
    const login = ["--client-id", "id", "--client-secret", SECRET];
    assertNothingIn(await said([...start, "--domain", platform.url, ...login]));
    const doctor = await said(["doctor", "edge", "--domain", platform.url, "--token", SECRET]);
    assertNothingIn(doctor);
    assert.match(doctor, /platform/);
  }));
});

Deno.test("a password in --domain is in no error and in no printed configuration", async () => {
  for (
    const domain of [
      `https://user:${PASSWORD}@host`,
      `user:${PASSWORD}@host`,
      `https://user:/${PASSWORD}@host`,
      `https://user:@${PASSWORD}@host`,
      `https://${PASSWORD}@host`,
    ]
  ) {
    for (
      const command of [start, ["doctor", "edge"], ["config", "print", "gateway"], [
        "config",
        "check",
        "gateway",
      ]]
    ) {
      const text = await said([...command, "--domain", domain, "--token", SECRET]);
      assertNothingIn(text);
      assert.match(text, /host/);
    }
  }
});

Deno.test("a configuration is printed without its secrets, wherever they come from", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "c.json");
  await writeFile(path, JSON.stringify({ "client-secret": SECRET }), { mode: 0o600 });
  const env = { INFISICAL_TOKEN: PASSWORD };
  for (const role of ["gateway", "relay", "connect"]) {
    for (const more of [[], ["--json"]]) {
      const text = await said(["config", "print", role, "--config", path, ...more], env);
      assertNothingIn(text);
      assert.match(text, /\[secret\]/);
    }
  }
});

Deno.test("a secret in the wrong place of the command line is not read out", async () => {
  const long = `${SECRET}-and-s0me-m0re`;
  for (
    const args of [
      [...start, "--token", "half-of-it", long],
      [...start, `--tokn=${SECRET}`],
      [...start, "--token", SECRET, "--max-channels", "x"],
      ["connect", "edge", `https://user:${PASSWORD}@host`, "--http", "--token", SECRET],
    ]
  ) {
    const { status, err } = await cli(args);
    assert.equal(status, 2, err);
    assertNothingIn(err);
  }
  const { err } = await cli(["gateway", "start", "edge", "--token", "t", "stray"]);
  assert.match(err, /: stray$/m, "other words are named");
});

/** A proxy that wants something better than what it was sent, and says it back. */
async function refusingProxy(): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (head) => {
      const text = head.toString();
      const sent = /authorization: (.*)\r/i.exec(text)?.[1];
      socket.end(
        `HTTP/1.1 407 ${sent}\r\nproxy-authenticate: ${sent}\r\ncontent-length: 0\r\n\r\n`,
      );
    });
  });
  server.listen(0, "127.0.73.7");
  await once(server, "listening");
  return { port: (server.address() as { port: number }).port, server };
}

Deno.test("a proxy's password is in no log, error or finding, in whatever way the proxy fails", async () => {
  const { port, server } = await refusingProxy();
  const dead = await freePort("127.0.73.7");
  const proxies = [
    `http://user:${PASSWORD}@127.0.73.7:${port}`,
    `http://user:${PASSWORD}@127.0.73.7:${dead}`,
    `socks5://user:${PASSWORD}@127.0.73.7:${port}`,
    `https://user:${PASSWORD}@127.0.73.7:${port}`,
    `http://user:${PASSWORD}@`,
    `http://user:/${PASSWORD}@127.0.73.7:${port}`,
  ];
  const runs = proxies.flatMap((proxy) =>
    [
      [...start, "--domain", "https://127.0.73.8:4443", "--token", SECRET],
      ["doctor", "edge", "--domain", "https://127.0.73.8:4443", "--token", SECRET],
    ].map((args) => ({ proxy, args }))
  );
  await Promise.all(runs.map(async ({ proxy, args }) => {
    await using child = startChild(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts"), ...args],
        ...["--log-level", "debug"],
      ],
      env: { HTTPS_PROXY: proxy, NO_PROXY: "", SALLYPORT_DOCTOR_TIMEOUT: "2s" },
    });
    // A gateway goes on trying; doctor comes to an end.
    if (args[0] === "doctor") await within(20_000, child.status);
    else await within(20_000, child.line(/trying again|sallyport:/));
    assertNothingIn(child.log);
  }));
  server.close();
});
