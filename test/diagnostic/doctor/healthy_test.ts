/** Where everything is well: before the gateway runs, while it runs, and enrolled. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PlatformApi } from "../../../src/enroll/api.ts";
import { StateFile } from "../../../src/enroll/state.ts";
import { examine, GATEWAY, gatewayToken, prepare } from "./fixture.ts";

const WELL = {
  "platform-name": "pass",
  "proxy": "pass",
  "platform-port": "pass",
  "platform-tls": "skip",
  "api": "pass",
  "clock": "pass",
  "credentials": "pass",
  "registration": "pass",
  "relay-name": "pass",
  "relay-port": "pass",
  "relay-ssh": "pass",
  "host-certificate": "pass",
  "gateway": "skip",
  "relay-login": "pass",
  "round-trip": "pass",
  "files": "pass",
  "service": "skip",
};

Deno.test("before a gateway runs, doctor is one for a moment: bytes go to a target and back", async () => {
  await using ground = await prepare();
  const path = join(ground.folder, "token");
  await writeFile(path, gatewayToken(ground.admin, ground.secrets), { mode: 0o600 });
  const found = await examine([...ground.arguments, "--token", `@${path}`]);
  assert.deepEqual(found.statuses, WELL, found.text);
  assert.equal(found.status, 0);
  assert.match(found.of("round-trip").finding, /through platform, relay and gateway .* and back/);
  assert.match(
    found.of("registration").finding,
    new RegExp(`relay r1 at .*:${ground.relay.ssh.port};`),
  );
  assert.match(found.of("relay-ssh").finding, /says SSH-2\.0-sallyport_/);
  // It leaves the relay when it is done.
  const { registry } = ground.relay;
  for (const id of registry.gatewayIds) await registry.get(id)?.closed;
  assert.equal(registry.size, 0);
  for (const secret of ground.secrets) assert.ok(!found.text.includes(secret));
  assert.doesNotMatch(found.text, /BEGIN|PRIVATE|[A-Za-z0-9+/]{100}/);
});

Deno.test("a gateway at work keeps its session, and bytes go through it and back", async () => {
  await using ground = await prepare();
  await using _gateway = await ground.startGateway();
  const { registry } = ground.relay;
  const [id] = registry.gatewayIds;
  const session = registry.get(id!);
  const found = await examine([
    ...ground.arguments,
    ...["--token", gatewayToken(ground.admin, ground.secrets)],
  ]);
  assert.deepEqual(
    found.statuses,
    { ...WELL, "gateway": "pass", "relay-login": "skip", "files": "skip" },
    found.text,
  );
  assert.equal(found.status, 0);
  assert.match(found.of("relay-login").finding, /is at work here/);
  assert.equal(registry.get(id!), session, "the session is the same one");
  const late = AbortSignal.timeout(5_000);
  while (session!.channels > 0) {
    late.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

Deno.test("a gateway at work that shows no health here is found through the platform", async () => {
  await using ground = await prepare();
  await using _gateway = await ground.startGateway();
  const session = ground.relay.registry.get(ground.relay.registry.gatewayIds[0]!);
  const token = gatewayToken(ground.admin, ground.secrets);
  const [domain, url, dir, state] = ground.arguments;
  const found = await examine([
    ...[domain!, url!, dir!, state!, "--health-listen", "127.0.47.2:1", "--token", token],
  ]);
  assert.match(found.of("relay-login").finding, /at work on another host/);
  assert.equal(found.of("round-trip").status, "pass");
  assert.equal(ground.relay.registry.get(ground.relay.registry.gatewayIds[0]!), session);
});

Deno.test("with health off, or --login no, nobody logs in", async () => {
  await using ground = await prepare();
  const token = ["--token", gatewayToken(ground.admin, ground.secrets)];
  const [domain, url, dir, state] = ground.arguments;
  const off = await examine([domain!, url!, dir!, state!, "--health-listen", "off", ...token]);
  assert.match(off.of("relay-login").finding, /health is off/);
  assert.equal(off.of("round-trip").status, "skip", off.text);
  assert.equal(off.status, 0);
  const no = await examine([...ground.arguments, ...token, "--login", "no"]);
  assert.match(no.of("relay-login").finding, /--login no/);
  const yes = await examine([
    ...[domain!, url!, dir!, state!, "--health-listen", "off"],
    ...[...token, "--login", "yes"],
  ]);
  assert.equal(yes.of("relay-login").status, "pass", yes.text);
});

Deno.test("an enrolment token is not spent; once it is, the gateway's own token is tried", async () => {
  await using ground = await prepare();
  const { token } = ground.admin.createGatewayToken({ gateway: GATEWAY });
  const enrol = [...ground.arguments, "--enroll-method", "token", "--token", token];
  const before = await examine(enrol);
  assert.equal(before.of("credentials").status, "skip", before.text);
  assert.match(before.of("credentials").finding, /works only once/);
  assert.match(before.of("registration").finding, /because "credentials" could not be tried/);

  // Still good: doctor did not spend it.
  const own = await new PlatformApi({ domain: ground.url }).enrolGateway(token);
  const state = new StateFile(join(ground.folder, "state"), GATEWAY);
  await state.save({ ...own, domain: `${ground.url}/api` });
  const file = state.path;
  const saved = await readFile(file, "utf8");
  const client = ["--client-token", ground.token("client")];
  const after = await examine([...ground.arguments, "--enroll-method", "token", ...client]);
  assert.deepEqual(after.statuses, WELL, after.text);
  assert.match(after.of("credentials").finding, /enrolled gateway's own token is taken/);
  assert.equal(await readFile(file, "utf8"), saved);
  for (const secret of [token, own.accessToken]) assert.ok(!after.text.includes(secret));

  const without = await examine([...ground.arguments, "--enroll-method", "token"]);
  assert.equal(without.of("round-trip").status, "skip");
  assert.match(without.of("round-trip").finding, /own credentials open no connections/);
  await chmod(file, 0o644);
  const open = await examine([...ground.arguments, "--enroll-method", "token"]);
  assert.match(open.of("credentials").finding, /can be read by others \(mode 0644\)/);
  assert.match(open.of("files").remedy!, new RegExp(`chmod 600 ${file}`));
});

Deno.test("universal auth logs in, and a wrong secret is told", async () => {
  await using ground = await prepare();
  const { clientId, clientSecret } = ground.admin.createIdentity({
    name: "robot",
    roles: ["gateway", "client"],
  });
  const login = (secret: string) =>
    examine([...ground.arguments, "--client-id", clientId, "--client-secret", secret]);
  const found = await login(clientSecret);
  assert.equal(found.of("credentials").status, "pass", found.text);
  assert.equal(found.of("round-trip").status, "pass");
  assert.ok(!found.text.includes(clientSecret));
  const wrong = await login("wrong-secret-wrong-secret");
  assert.equal(wrong.of("credentials").code, "credentials-refused");
});
