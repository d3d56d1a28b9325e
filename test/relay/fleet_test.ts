/** A fleet of honest gateways behind one address, which all come back at the same moment. */
import assert from "node:assert/strict";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../../src/certificates/ssh_key.ts";
import { connectSsh, type SshSession } from "../../src/ssh/client.ts";
import { captureLog } from "../captured_log.ts";
import { newKey } from "../ssh/pair.ts";
import { within } from "../within.ts";
import { dial, HOST, type RelayFixture, startFixture } from "./fixture.ts";

const FLEET = 500;
const HOUR = 3_600_000;

async function join({ authorities, relay }: RelayFixture, id: string): Promise<SshSession> {
  const key = newKey("ed25519");
  const { blob } = issueSshCertificate({
    certType: "user",
    publicKey: key,
    authorityKey: authorities.userAuthority,
    keyId: "client-r1",
    principals: [id],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
  });
  return await connectSsh({
    socket: await dial(HOST, relay.ssh.port),
    user: id,
    certificate: formatAuthorizedKey(blob),
    privateKey: formatPrivateKey(key),
    hostAuthority: formatAuthorizedKey(publicKeyBlob(authorities.hostAuthority)),
    hostPrincipals: ["localhost:2222"],
    onChannel: (channel) => void channel.destroy(),
  });
}

Deno.test(`${FLEET} gateways behind one address come in at once, none is turned out`, async () => {
  using log = captureLog();
  await using fixture = await startFixture();
  const ids = Array.from({ length: FLEET }, (_, i) => `gateway-${i}`);
  const sessions = await within(30_000, Promise.all(ids.map((id) => join(fixture, id))));
  assert.ok(ids.every((id) => fixture.relay.registry.get(id) !== undefined));
  assert.ok(!log.lines.some((line) => line.includes("before login")));
  for (const session of sessions) session.close();
  await Promise.all(sessions.map(({ closed }) => closed));
});
