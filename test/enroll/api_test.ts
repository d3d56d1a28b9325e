import assert from "node:assert/strict";
import { PlatformApi } from "../../src/enroll/api.ts";
import { validityOf } from "../../src/enroll/registration.ts";
import { SallyportError } from "../../src/errors.ts";
import { fakeServer, json } from "../fake_server.ts";
import { gatewayRegistration, relayRegistration } from "../registration_fixture.ts";

type Json = { [field: string]: Json } | string | number | undefined;

async function failure(promise: Promise<unknown>): Promise<SallyportError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof SallyportError, `not a SallyportError: ${error}`);
  return error;
}

/** A copy of `value` with the field at `path` replaced; undefined removes it. */
function withField(value: unknown, path: string, to: Json): unknown {
  const copy = structuredClone(value) as { [field: string]: Json };
  const names = path.split(".");
  let at = copy;
  for (const name of names.slice(0, -1)) at = at[name] as { [field: string]: Json };
  at[names.at(-1)!] = to;
  return copy;
}

Deno.test("every call goes where protocol.md says, with the body that it says", async () => {
  const gateway = await gatewayRegistration();
  const relay = await relayRegistration();
  const login = { accessToken: "a", expiresIn: 60, accessTokenMaxTTL: 600, tokenType: "Bearer" };
  const answers: Record<string, unknown> = {
    "/api/v2/gateways": gateway,
    "/api/v3/gateways/connect": gateway,
    "/api/v3/gateways/token-auth/enroll": { accessToken: "own", gatewayId: "id" },
    "/api/v1/relays": [],
    "/api/v1/relays/register-org-relay": relay,
    "/api/v1/relays/register-instance-relay": relay,
    "/api/v1/auth/universal-auth/login": login,
    "/api/v1/auth/token/renew": login,
  };
  await using server = fakeServer((request) => json(answers[new URL(request.url).pathname] ?? {}));
  const api = new PlatformApi({ domain: server.url, token: () => "T" });
  assert.deepEqual(await api.registerGateway({ name: "g", relayName: "r" }), gateway);
  await api.connectGateway({ relayName: "r" });
  await api.connectGateway();
  await api.enrolGateway("once");
  await api.gatewayHeartbeat();
  await api.relays();
  assert.deepEqual(
    await api.registerRelay({ type: "org", name: "r", host: "h", sshPort: 22, tlsPort: 44 }),
    relay,
  );
  await api.registerRelay({ type: "instance", name: "r", host: "h" });
  await api.relayHeartbeat({ type: "org", name: "r" });
  await api.relayHeartbeat({ type: "instance", name: "r" });
  await api.login({ clientId: "c", clientSecret: "s" });
  await api.renewToken("a");
  const bearer = "Bearer T";
  assert.deepEqual(
    server.requests.map(({ method, path, authorization, body }) => [
      `${method} ${path.replace("/api", "")}`,
      authorization,
      body,
    ]),
    [
      ["POST /v2/gateways", bearer, { name: "g", relayName: "r" }],
      ["POST /v3/gateways/connect", bearer, { relayName: "r" }],
      ["POST /v3/gateways/connect", bearer, {}],
      ["POST /v3/gateways/token-auth/enroll", null, { token: "once" }],
      ["POST /v2/gateways/heartbeat", bearer, { capabilities: {} }],
      ["GET /v1/relays", bearer, undefined],
      ["POST /v1/relays/register-org-relay", bearer, {
        name: "r",
        host: "h",
        sshPort: 22,
        tlsPort: 44,
      }],
      ["POST /v1/relays/register-instance-relay", bearer, { name: "r", host: "h" }],
      ["POST /v1/relays/heartbeat-org-relay", bearer, { name: "r" }],
      ["POST /v1/relays/heartbeat-instance-relay", bearer, { name: "r" }],
      ["POST /v1/auth/universal-auth/login", null, { clientId: "c", clientSecret: "s" }],
      ["POST /v1/auth/token/renew", null, { accessToken: "a" }],
    ],
  );
});

Deno.test("a registration with a missing or broken field is malformed, and the field is named", async () => {
  const good = await gatewayRegistration();
  const other = await gatewayRegistration();
  const host = await relayRegistration();
  const garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
  const table: [path: string, to: Json, says: RegExp][] = [
    ["gatewayId", undefined, /gatewayId: expected string/],
    ["gatewayId", 7, /gatewayId: expected string/],
    ["relayHost", "", /relayHost/],
    ["pki", undefined, /pki: expected object/],
    ["pki.serverCertificate", "hello", /pki\.serverCertificate: not a PEM certificate/],
    ["pki.serverCertificate", garbage, /pki\.serverCertificate: not a PEM certificate/],
    ["pki.serverPrivateKey", undefined, /pki\.serverPrivateKey: expected string/],
    ["pki.serverPrivateKey", garbage, /pki\.serverPrivateKey: not an unencrypted private key/],
    [
      "pki.serverPrivateKey",
      other.pki.serverPrivateKey,
      /pki\.serverPrivateKey: does not belong to serverCertificate/,
    ],
    ["pki.clientCertificateChain", "", /pki\.clientCertificateChain: not a chain/],
    ["pki.clientCertificateChain", `${good.pki.serverCertificate}${garbage}`, /not a chain/],
    ["ssh.clientCertificate", "ssh-rsa AAAA", /ssh\.clientCertificate: not an SSH user cert/],
    ["ssh.clientCertificate", host.ssh.serverCertificate, /not an SSH user certificate/],
    ["ssh.clientPrivateKey", "key", /ssh\.clientPrivateKey: not an unencrypted SSH private key/],
    [
      "ssh.clientPrivateKey",
      other.ssh.clientPrivateKey,
      /ssh\.clientPrivateKey: does not belong to clientCertificate/,
    ],
    ["ssh.serverCAPublicKey", "x", /ssh\.serverCAPublicKey: not an SSH public key line/],
  ];
  let answer: unknown;
  await using server = fakeServer(() => json(answer));
  const api = new PlatformApi({ domain: server.url, token: () => "T" });
  for (const [path, to, says] of table) {
    answer = withField(good, path, to);
    const error = await failure(api.registerGateway({ name: "g", relayName: "r" }));
    assert.equal(error.code, "api-malformed");
    assert.match(error.message, /^POST \/v2\/gateways: /);
    assert.match(error.message, says);
    assert.ok(!error.message.includes("BEGIN"), "the content must not be quoted");
  }
  answer = [good];
  assert.match((await failure(api.connectGateway())).message, /the answer: expected object/);
});

Deno.test("a relay's registration must hold a host certificate that fits its key", async () => {
  const good = await relayRegistration();
  const gateway = await gatewayRegistration();
  let answer = withField(good, "ssh.serverCertificate", gateway.ssh.clientCertificate);
  await using server = fakeServer(() => json(answer));
  const api = new PlatformApi({ domain: server.url, token: () => "T" });
  const register = () => api.registerRelay({ type: "org", name: "r", host: "h" });
  assert.match((await failure(register())).message, /ssh\.serverCertificate: not an SSH host cert/);
  answer = withField(good, "ssh.serverPrivateKey", gateway.ssh.clientPrivateKey);
  assert.match((await failure(register())).message, /ssh\.serverPrivateKey: does not belong/);
});

Deno.test("a refused token is asked for once more where there is another one", async () => {
  await using server = fakeServer((request) =>
    request.headers.get("authorization") === "Bearer new" ? json([]) : json({}, 401)
  );
  let token = "old";
  const api = new PlatformApi({
    domain: server.url,
    token: () => token,
    refused: (refused) => {
      assert.equal(refused, "old");
      token = "new";
      return true;
    },
  });
  assert.deepEqual(await api.relays(), []);
  assert.equal(server.requests.length, 2);
});

Deno.test("a token that is refused again is not asked for a third time", async () => {
  await using server = fakeServer(() => json({}, 401));
  const api = new PlatformApi({ domain: server.url, token: () => "t", refused: () => true });
  assert.equal((await failure(api.relays())).code, "credentials-refused");
  assert.equal(server.requests.length, 2);
});

Deno.test("a registration holds while all of its certificates do", async () => {
  const notBefore = new Date(Date.UTC(2030, 0, 1));
  const notAfter = new Date(Date.UTC(2030, 0, 2));
  const long = await gatewayRegistration({ notBefore, notAfter: new Date(Date.UTC(2040, 0, 1)) });
  const short = await gatewayRegistration({ notBefore, notAfter });
  assert.deepEqual(validityOf(short), { notBefore, notAfter });
  assert.deepEqual(validityOf({ ...long, ssh: short.ssh }), { notBefore, notAfter });
  assert.deepEqual(validityOf({ ...long, pki: short.pki }), { notBefore, notAfter });
});
