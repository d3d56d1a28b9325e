/** What the platform issues, judged by TLS handshakes, by ssh-keygen and by our own verification. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { parseSshCertificate, verifySshCertificate } from "../../src/certificates/ssh.ts";
import { parseAuthorizedKey } from "../../src/certificates/ssh_key.ts";
import { splitPem } from "../../src/certificates/x509.ts";
import type { Connection, GatewayRegistration, RelayRegistration } from "../../src/enroll/api.ts";
import type { KeyType } from "../../src/platform/admin.ts";
import { requirement } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { platform, type PlatformFixture } from "./fixture.ts";

const HOST = "127.0.70.1";

interface Issued {
  relay: RelayRegistration;
  gateway: GatewayRegistration;
  connection: Connection;
}

/** A relay, a gateway that chose it and a connection through both. */
async function issue(
  p: PlatformFixture,
  type: "org" | "instance",
  organisation = "default",
): Promise<Issued> {
  const name = `${type}-relay`;
  const owner = type === "org" ? p.as("relay", ["relay"], organisation) : p.api(p.relaySecret);
  const relay = await owner.registerRelay({ type, name, host: HOST });
  const gateway = await p.as(`edge-${type}`, ["gateway"], organisation)
    .registerGateway({ name: `gw-${type}`, relayName: name });
  const connection = await p.as(`client-${type}`, ["client"], organisation)
    .openConnection({ gateway: `gw-${type}`, targetHost: "db", targetPort: 1 });
  return { relay, gateway, connection };
}

type ServerKeys = RelayRegistration["pki"];
type ClientKeys = Connection["gateway"];

/** A real TLS handshake on loopback. Gives the client certificate's subject; rejects if one side refuses. */
async function handshake(server: ServerKeys, client: ClientKeys, host: string): Promise<void> {
  const listener = createServer({
    cert: server.serverCertificate,
    key: server.serverPrivateKey,
    ca: server.clientCertificateChain,
    requestCert: true,
    rejectUnauthorized: true,
  }, (socket) => {
    socket.on("error", () => {});
    socket.end(socket.authorized ? "hello" : "who are you");
  });
  listener.on("tlsClientError", (_: Error, socket: TLSSocket) => socket.destroy());
  listener.listen(0, HOST);
  await once(listener, "listening");
  const socket = connect({
    host: HOST,
    port: (listener.address() as AddressInfo).port,
    ...(host === HOST ? {} : { servername: host }),
    cert: client.clientCertificate,
    key: client.clientPrivateKey,
    ca: client.serverCertificateChain,
  });
  try {
    let text = "";
    socket.setEncoding("utf8");
    for await (const chunk of socket) text += chunk;
    if (text !== "hello") throw new Error(`refused: ${JSON.stringify(text)}`);
  } finally {
    socket.destroy();
    listener.close();
    await once(listener, "close");
  }
}

for (const keyType of ["rsa", "ecdsa", "ed25519"] as const) {
  Deno.test(`${keyType}: TLS and SSH accept what was issued, with either type of relay`, async (t) => {
    await using p = await platform({ keyType });
    for (const type of ["org", "instance"] as const) {
      const { relay, gateway, connection } = await issue(p, type);
      await t.step(`${type} relay: a client reaches it and the gateway`, async () => {
        await handshake(relay.pki, connection.relay, HOST);
        await handshake(gateway.pki, connection.gateway, "localhost");
      });
      await t.step(`${type} relay: no certificate is good for the other server`, async () => {
        const crossed = {
          ...connection.gateway,
          serverCertificateChain: connection.relay.serverCertificateChain,
        };
        await assert.rejects(handshake(relay.pki, crossed, HOST));
        const back = {
          ...connection.relay,
          serverCertificateChain: connection.gateway.serverCertificateChain,
        };
        await assert.rejects(handshake(gateway.pki, back, "localhost"));
      });
      await t.step(`${type} relay: chains and profiles`, () => {
        checkX509(relay.pki.serverCertificate, connection.relay.serverCertificateChain, keyType);
        checkX509(
          gateway.pki.serverCertificate,
          connection.gateway.serverCertificateChain,
          keyType,
        );
        checkX509(connection.relay.clientCertificate, relay.pki.clientCertificateChain, keyType);
        checkX509(
          connection.gateway.clientCertificate,
          gateway.pki.clientCertificateChain,
          keyType,
        );
        const server = new X509Certificate(gateway.pki.serverCertificate);
        assert.equal(
          server.subjectAltName,
          "DNS:localhost, IP Address:127.0.0.1, IP Address:::1",
        );
        assert.equal(
          new X509Certificate(relay.pki.serverCertificate).subjectAltName,
          `IP Address:${HOST}`,
        );
      });
      await t.step(`${type} relay: SSH certificates`, () => checkSsh(relay, gateway, type));
    }
  });
}

/** The leaf is signed by the chain's first, that by the root, and the critical parts are critical. */
function checkX509(leafPem: string, chainPem: string, keyType: KeyType): void {
  const [issuing, root, ...more] = splitPem(chainPem).map((pem) => new X509Certificate(pem));
  const leaf = new X509Certificate(leafPem);
  assert.ok(issuing && root && more.length === 0);
  assert.equal(splitPem(leafPem).length, 1);
  assert.ok(leaf.verify(issuing.publicKey) && issuing.verify(root.publicKey));
  assert.ok(root.verify(root.publicKey) && root.ca && issuing.ca && !leaf.ca);
  const types = { rsa: "rsa", ecdsa: "ec", ed25519: "ed25519" };
  assert.equal(leaf.publicKey.asymmetricKeyType, types[keyType]);
  // RFC 5280: OID, BOOLEAN TRUE (critical), then the OCTET STRING.
  const hex = leaf.raw.toString("hex");
  assert.match(hex, /0603551d0f0101ff04/, "key usage is critical");
  assert.match(hex, /0603551d250101ff04/, "extended key usage is critical");
  assert.match(hex, /0603551d20(?!0101ff).*?0604551d2000/, "certificate policies hold anyPolicy");
}

function checkSsh(relay: RelayRegistration, gateway: GatewayRegistration, type: string): void {
  const now = new Date();
  const blob = (line: string) => parseAuthorizedKey(line).blob;
  const user = parseSshCertificate(blob(gateway.ssh.clientCertificate));
  verifySshCertificate(user, {
    certType: "user",
    authority: blob(relay.ssh.clientCAPublicKey),
    principals: [gateway.gatewayId],
    now,
  });
  assert.equal(user.keyId, `client-${type}-relay`);
  verifySshCertificate(parseSshCertificate(blob(relay.ssh.serverCertificate)), {
    certType: "host",
    authority: blob(gateway.ssh.serverCAPublicKey),
    principals: [`${HOST}:2222`],
    now,
  });
  assert.notEqual(relay.ssh.clientCAPublicKey, gateway.ssh.serverCAPublicKey);
}

Deno.test("another organisation's client is refused by gateway and relay", async () => {
  await using p = await platform();
  await p.admin.createOrganisation({ name: "other" });
  const own = await issue(p, "org", "default");
  const other = await issue(p, "org", "other");
  const trusting = (foreign: ClientKeys, chain: string) => ({
    ...foreign,
    serverCertificateChain: chain,
  });
  await handshake(own.gateway.pki, own.connection.gateway, "localhost");
  await assert.rejects(handshake(
    own.gateway.pki,
    trusting(other.connection.gateway, own.connection.gateway.serverCertificateChain),
    "localhost",
  ));
  await assert.rejects(handshake(
    own.relay.pki,
    trusting(other.connection.relay, own.connection.relay.serverCertificateChain),
    HOST,
  ));
  await assert.rejects(
    handshake(own.relay.pki, other.connection.relay, HOST),
    "a client does not trust another organisation's relay",
  );
});

Deno.test("a client certificate whose life is over is refused", async () => {
  const past = Date.now() - 10 * 60_000;
  await using p = await platform({ now: () => new Date(past) });
  const { gateway, connection } = await issue(p, "org");
  await assert.rejects(handshake(gateway.pki, connection.gateway, "localhost"));
});

for (const keyType of ["rsa", "ecdsa", "ed25519"] as const) {
  Deno.test(
    { name: `ssh-keygen reads the ${keyType} certificates`, ...requirement("ssh-keygen") },
    async () => {
      await using folder = await temporaryFolder();
      await using p = await platform({ keyType });
      const { relay, gateway } = await issue(p, "org");
      const read = async (line: string) => {
        const path = join(folder.path, "certificate.pub");
        await writeFile(path, `${line}\n`);
        const { stdout, success } = await new Deno.Command("ssh-keygen", {
          args: ["-L", "-f", path],
        })
          .output();
        assert.ok(success);
        return new TextDecoder().decode(stdout);
      };
      const user = await read(gateway.ssh.clientCertificate);
      assert.match(user, /Type: .*-cert-v01@openssh\.com user certificate/);
      assert.match(user, /Key ID: "client-org-relay"/);
      assert.match(user, new RegExp(`Principals: \\s+${gateway.gatewayId}\\s+gw-org\\s`));
      assert.match(user, /Critical Options: \(none\)\s+Extensions: \s+permit-port-forwarding/);
      const host = await read(relay.ssh.serverCertificate);
      assert.match(host, /host certificate/);
      assert.match(host, /Key ID: "relay-server"/);
      assert.match(host, new RegExp(`Principals: \\s+${HOST}:2222\\s`));
      if (keyType === "rsa") assert.match(host, /Signing CA: RSA .* \(using rsa-sha2-256\)/);
    },
  );
}
