/** A relay proves its host certificate to somebody who does not log in. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { type HostProofOptions, proveHost } from "../../src/ssh/host_proof.ts";
import { SmallRelay } from "../link/small_relay.ts";

const DAY = 24 * 60 * 60 * 1000;

/** A socket to the relay, and the rest of what a proof takes. */
async function options(relay: SmallRelay): Promise<HostProofOptions & { socket: Socket }> {
  const [host, port] = relay.address.split(":");
  const { ssh } = await relay.registration();
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  await once(socket, "connect");
  return { socket, hostAuthority: ssh.serverCAPublicKey, hostPrincipals: [relay.address] };
}

const refused = (code: ErrorCode) => (error: unknown) =>
  error instanceof SallyportError && error.code === code;

Deno.test("the proof gives the certificate and the key exchange; nobody has logged in", async () => {
  await using relay = await SmallRelay.start();
  const given = await options(relay);
  const { certificate, kex } = await proveHost(given);
  assert.deepEqual(certificate.principals, [relay.address]);
  assert.equal(kex, "curve25519-sha256");
  if (!given.socket.destroyed) await once(given.socket, "close");
  assert.equal(relay.sessions.length, 0);
});

Deno.test("another name, another authority and another time are refused as at a login", async () => {
  await using relay = await SmallRelay.start();
  await using other = await SmallRelay.start();
  const given = await options(relay);
  await assert.rejects(
    proveHost({ ...given, hostPrincipals: ["other:2222"] }),
    refused("certificate-principal"),
  );
  const { ssh } = await other.registration();
  await assert.rejects(
    proveHost({ ...await options(relay), hostAuthority: ssh.serverCAPublicKey }),
    refused("certificate-authority"),
  );
  await assert.rejects(
    proveHost({ ...await options(relay), now: () => new Date(Date.now() + 2 * DAY) }),
    refused("certificate-validity"),
  );
  assert.equal(relay.sessions.length, 0);
});

Deno.test("a relay that hangs up, is silent or speaks something else ends the proof", async () => {
  await using closes = await SmallRelay.start({ onSocket: (socket) => socket.end() });
  await assert.rejects(proveHost(await options(closes)), refused("ssh-closed"));
  await using speaks = await SmallRelay.start({
    onSocket: (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
  });
  await assert.rejects(
    proveHost(await options(speaks)),
    (error) => refused("ssh-protocol")(error) || refused("ssh-closed")(error),
  );
  await using silent = await SmallRelay.start({ onSocket: () => {} });
  const late = new SallyportError("timeout", "too slow");
  const stop = new AbortController();
  const proof = proveHost({ ...await options(silent), signal: stop.signal });
  stop.abort(late);
  await assert.rejects(proof, (error) => error === late);
  const before = await options(silent);
  await assert.rejects(
    proveHost({ ...before, signal: AbortSignal.abort(late) }),
    (error) => error === late,
  );
});
