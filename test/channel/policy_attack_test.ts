/** Attempts to get from a gateway's channel to where its policy does not lead, over real sockets. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { dialer } from "../../src/egress/dial.ts";
import { captureLog } from "../captured_log.ts";
import { certificate } from "../forward/certificates.ts";
import { temporaryFolder } from "../temporary.ts";
import { PLATFORM, policy, serve, target, teller, USER } from "./served.ts";

const ALLOWED = "127.0.49.2";
const FORBIDDEN = "127.0.49.3";

/** A dialer whose resolver gives one list of addresses after the other. */
function changing(...answers: string[][]) {
  let turn = 0;
  return dialer("target-unreachable", "target", () => {
    return Promise.resolve(answers[Math.min(turn++, answers.length - 1)]!);
  });
}

Deno.test("a name that changes its answer after it was allowed leads nowhere new", async () => {
  using log = captureLog("warn");
  await using good = await teller(ALLOWED);
  await using bad = await teller(FORBIDDEN, good.port);
  await using served = serve({
    policy: policy(`${ALLOWED}/32`),
    dial: changing([ALLOWED], [FORBIDDEN]),
  });
  const at = { host: "rebinding.example", port: good.port };
  assert.equal(await served.ask("hello", { at }), ALLOWED);
  assert.equal(await served.ask("hello", { at, serial: "0bad" }), "");
  const told = await log.line(/target rebinding\.example at 127\.0\.49\.3:\d+ is refused/);
  assert.match(told, /because no --allow covers it; user u-1 asked, certificate 0bad/);
  assert.equal(bad.asked, 0);
  assert.equal(served.server.counts.refused, 1);
});

Deno.test("an allowed name whose answer turns into a metadata address leads nowhere", async () => {
  using log = captureLog("warn");
  await using served = serve({
    policy: policy("db.internal"),
    dial: changing(["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"]),
  });
  assert.equal(await served.ask("hello", { at: { host: "db.internal", port: 80 } }), "");
  await log.line(/failed: target db\.internal:80: this gateway's policy refuses it/);
  assert.equal(served.server.counts.refused, 3);
});

Deno.test("of a name's addresses only the allowed ones are dialled", async () => {
  await using bad = await teller(FORBIDDEN);
  await using good = await teller(ALLOWED, bad.port);
  await using served = serve({
    policy: policy("", FORBIDDEN),
    dial: changing([FORBIDDEN, ALLOWED, FORBIDDEN]),
  });
  assert.equal(
    await served.ask("hello", { at: { host: "both.example", port: bad.port } }),
    ALLOWED,
  );
  assert.deepEqual([good.asked, bad.asked], [1, 0]);
});

Deno.test("a name whose allowed address does not answer is not served by its forbidden one", async () => {
  await using bad = await teller(FORBIDDEN);
  await using served = serve({
    policy: policy("", FORBIDDEN),
    dial: changing([ALLOWED, FORBIDDEN]),
  });
  assert.equal(await served.ask("hello", { at: { host: "both.example", port: bad.port } }), "");
  assert.equal(bad.asked, 0);
});

const SPELLINGS = [
  "169.254.169.254",
  "[::ffff:169.254.169.254]",
  "::ffff:a9fe:a9fe",
  "0:0:0:0:0:FFFF:A9FE:A9FE",
  "64:ff9b::169.254.169.254",
  "2852039166",
  "0xa9fea9fe",
  "0251.0376.0251.0376",
  "169.254.43518",
  "169.16689662",
];
for (const host of SPELLINGS) {
  Deno.test(`cloud metadata spelled ${host} is refused, with --allow '*' as well`, async () => {
    for (const allow of ["", "*"]) {
      using log = captureLog("warn");
      await using served = serve({ policy: policy(allow) });
      assert.equal(await served.ask("GET /", { at: { host, port: 80 } }), "");
      await log.line(/is refused because cloud metadata addresses always are; user u-1 asked/);
      assert.equal(served.server.counts.refused, 1);
    }
  });
}

Deno.test("cloud metadata with a dot behind it is not reached", async () => {
  await using served = serve();
  const at = { host: "169.254.169.254.", port: 80 };
  assert.equal(await served.ask("GET /", { at }), "");
  assert.equal(served.server.counts.failed, 1);
  // Where a resolver does take it for an address, that address is judged.
  await using resolved = serve({ dial: changing(["169.254.169.254"]) });
  assert.equal(await resolved.ask("GET /", { at }), "");
  assert.equal(resolved.server.counts.refused, 1);
});

for (const host of ["127.0.0.1", "0.0.0.0", "localhost", "::ffff:127.0.0.1", "2130706433"]) {
  Deno.test(`the gateway's own health address is refused as ${host}`, async () => {
    await using health = await teller("127.0.0.1");
    await using served = serve({
      policy: policy("*,127.0.0.0/8", "", { host: "127.0.0.1", port: health.port }),
    });
    assert.equal(await served.ask("GET /status", { at: { host, port: health.port } }), "");
    assert.equal(health.asked, 0);
    assert.ok(served.server.counts.refused > 0);
  });
}

Deno.test("a dialer that does not ask is found out by the address that it connected to", async () => {
  await using bad = await teller(FORBIDDEN);
  await using served = serve({
    policy: policy("", FORBIDDEN),
    dial: async (_host, port) => {
      const socket = connect({ host: FORBIDDEN, port, allowHalfOpen: true });
      await new Promise((resolve) => socket.once("connect", resolve));
      return socket;
    },
  });
  assert.equal(await served.ask("hello", { at: { host: ALLOWED, port: bad.port } }), "");
  assert.equal(served.server.counts.refused, 1);
});

const HTTP = "infisical-http-proxy";

Deno.test("http requests and upgrades to a forbidden target are answered with 500 and reach nobody", async () => {
  await using bad = await teller(FORBIDDEN);
  await using served = serve({ policy: policy("", FORBIDDEN) });
  const at = { host: `http://${FORBIDDEN}`, port: bad.port };
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  for (const more of ["Connection: close\r\n", upgrade]) {
    const request = `CONFIG\nGET / HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
    const answer = await served.ask(request, { at, alpn: HTTP });
    assert.match(answer, /^HTTP\/1\.1 500 /);
    assert.match(answer, /this gateway's policy refuses it/);
    // Whoever asks learns neither the address nor the rule.
    assert.doesNotMatch(answer, /--deny/);
  }
  assert.equal(bad.asked, 0);
  assert.equal(served.server.counts.refused, 2);
});

Deno.test("an absolute request target and a Host header lead to no other target", async () => {
  await using bad = await teller(FORBIDDEN);
  await using good = await target(ALLOWED, (socket) => {
    socket.once("data", () => socket.end("HTTP/1.1 204 \r\nConnection: close\r\n\r\n"));
  });
  await using served = serve({ policy: policy("", FORBIDDEN) });
  const request = `CONFIG\nGET http://${FORBIDDEN}:${bad.port}/ HTTP/1.1\r\n` +
    `Host: ${FORBIDDEN}:${bad.port}\r\nConnection: close\r\n\r\n`;
  const at = { host: ALLOWED, port: good.port };
  assert.match(await served.ask(request, { at, alpn: HTTP }), /^HTTP\/1\.1 204 /);
  assert.deepEqual([good.asked, bad.asked], [1, 0]);
});

Deno.test("a redirect to a forbidden target is handed on and not followed", async () => {
  await using bad = await teller(FORBIDDEN);
  await using good = await target(ALLOWED, (socket) => {
    const head = `HTTP/1.1 302 Found\r\nLocation: http://${FORBIDDEN}:${bad.port}/\r\n` +
      "Content-Length: 0\r\nConnection: close\r\n\r\n";
    socket.once("data", () => socket.end(head));
  });
  await using served = serve({ policy: policy("", FORBIDDEN) });
  const request = "CONFIG\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const at = { host: ALLOWED, port: good.port };
  assert.match(await served.ask(request, { at, alpn: HTTP }), /^HTTP\/1\.1 302 /);
  assert.deepEqual([good.asked, bad.asked], [1, 0]);
});

/** A pod's credentials, whose API server is at a forbidden address. */
async function pod(folder: string, port: number) {
  const tokenPath = `${folder}/token`;
  const caPath = `${folder}/ca.crt`;
  await writeFile(tokenPath, "service-account-token");
  await writeFile(caPath, (await certificate("api", { hosts: ["api"] })).certificate);
  return { tokenPath, caPath, apiHost: FORBIDDEN, apiPort: port };
}

function withAction(action: string): string {
  return `CONFIG\nGET / HTTP/1.1\r\nHost: x\r\nX-Infisical-Action: ${action}\r\n` +
    "Connection: close\r\n\r\n";
}

Deno.test("the cluster's API server is dialled only if the policy allows it, for the platform as well", async () => {
  await using folder = await temporaryFolder();
  await using api = await teller(FORBIDDEN);
  await using served = serve({
    policy: policy(ALLOWED),
    kubernetes: await pod(folder.path, api.port),
  });
  const at = { host: ALLOWED, port: 1 };
  const answer = await served.ask(withAction("use-k8s-sa"), { at, by: PLATFORM, alpn: HTTP });
  assert.match(answer, /^HTTP\/1\.1 500 /);
  assert.match(answer, /policy refuses it/);
  assert.equal(api.asked, 0);
});

const PRETENDERS: Record<string, object> = {
  "a user": USER,
  "an actor without a type": { id: "platform" },
  "an actor of the type Platform": { type: "Platform" },
  "an actor whose type is a list": { type: ["platform"] },
  "an actor of a type with a blank": { type: "platform " },
};
for (const [who, by] of Object.entries(PRETENDERS)) {
  Deno.test(`${who} does not get the pod's credentials used`, async () => {
    await using folder = await temporaryFolder();
    await using api = await teller(FORBIDDEN);
    await using good = await teller(ALLOWED);
    await using served = serve({ kubernetes: await pod(folder.path, api.port) });
    for (const action of ["use-k8s-sa", "inject-k8s-sa-auth-token"]) {
      const answer = await served.ask(withAction(action), {
        at: { host: ALLOWED, port: good.port },
        by,
        alpn: HTTP,
        // What the subject says gives no privilege.
        subject: "O=org, OU=gateway-client, CN=platform:gw-1",
      });
      assert.match(answer, /^HTTP\/1\.1 500 /);
      assert.match(answer, /is for the platform alone/);
      assert.doesNotMatch(answer, /service-account-token/);
    }
    assert.deepEqual([api.asked, good.asked], [0, 0]);
  });
}
