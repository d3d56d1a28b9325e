/** The platform under a whole tunnel: our relay, gateway and client, and the lab's relay and gateway. */
import assert from "node:assert/strict";
import { secretSource } from "../../src/enroll/secret.ts";
import { StreamOpener } from "../../src/client/stream.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { startLab } from "../lab_process.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import type { KeyType } from "../../src/platform/admin.ts";
import { platform, type PlatformFixture } from "./fixture.ts";

const HOST = "127.0.70.10";

/** What a client hears from the gateway "gw" in ping mode. */
async function ping(p: PlatformFixture): Promise<string> {
  const grant = await p.as("client", ["client"])
    .openConnection({ gateway: "gw", targetHost: "127.0.0.1", targetPort: 1 });
  let text = "";
  const stream = await new StreamOpener().stream(grant, "infisical-ping");
  for await (const chunk of stream) text += chunk;
  return text;
}

for (const type of ["org", "instance"] as const) {
  Deno.test(`an enrolled gateway is reached through an ${type} relay on ports of its own`, async () => {
    await using folder = await temporaryFolder();
    await using p = await platform();
    const stop = new AbortController();
    const any = { host: HOST, port: 0 };
    const relay = await startRelay({
      name: "r1",
      host: HOST,
      type,
      api: type === "org" ? p.as("relay", ["relay"]) : p.api(p.relaySecret),
      sshListen: any,
      tlsListen: any,
    }, stop.signal);
    const { token } = p.admin.createGatewayToken({ gateway: "gw" });
    const gateway = await startGateway({
      name: "gw",
      domain: p.url,
      auth: { method: "enroll-token", token: secretSource(token) },
      relayName: "r1",
      stateDir: folder.path,
      healthListen: "off",
    }, stop.signal);
    try {
      const up = gateway.state.until(({ phase }) => phase === "up", stop.signal);
      // A gateway that cannot work at all ends before it is up.
      await Promise.race([up, gateway.finished.then(() => assert.fail("it ended"))]);
      assert.equal(await ping(p), "PONG\n");
    } finally {
      stop.abort();
      await Promise.all([gateway.finished, relay.finished]);
    }
  });
}

for (const [i, keyType] of (["rsa", "ecdsa", "ed25519"] satisfies KeyType[]).entries()) {
  Deno.test(
    { name: `the lab's relay and gateway work with ${keyType} keys of ours`, ...requirement("go") },
    async () => {
      const host = `127.0.70.${20 + i}`;
      await using p = await platform({ keyType });
      const token = (name: "gateway" | "relay") => {
        p.admin.createIdentity({ name, roles: [name] });
        return p.admin.createIdentityToken({ identity: name }).token;
      };
      await using _relay = await startLab(
        [
          ...["relay", "-api", p.url, "-token", token("relay"), "-host", host],
          ...["-ssh", `${host}:2222`, "-tls", `${host}:8443`],
        ],
        /relay r1: ssh/,
      );
      await using _gateway = await startLab(
        ["gateway", "-api", p.url, "-token", token("gateway"), "-name", "gw"],
        /gateway gw connected/,
      );
      assert.equal(await ping(p), "PONG\n");
    },
  );
}
