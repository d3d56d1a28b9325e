/** Handshakes that never end. */
import assert from "node:assert/strict";
import { type EventEmitter, once } from "node:events";
import { Duplex } from "node:stream";
import { createServer } from "node:tls";
import { acceptTls, TlsCarrier } from "../../src/tls/carrier.ts";
import { Pki } from "../channel/pki.ts";
import { within } from "../within.ts";

/** A peer that says nothing. */
function silence(): Duplex {
  return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
}

Deno.test("Deno's own time limit, which holds a stranger's handshake in memory after its end, is off", async () => {
  const { registration } = await Pki.create("ecdsa");
  const server = createServer({
    cert: registration.serverCertificate,
    key: registration.serverPrivateKey,
    handshakeTimeout: 100,
  });
  const failures: Error[] = [];
  const ours = new TlsCarrier(silence());
  acceptTls(server, ours, {
    onSecure: () => assert.fail(),
    onFailure: (error) => failures.push(error),
  });
  // The same as Deno would do it, begun after ours: its time is up later.
  const theirs = new TlsCarrier(silence());
  const timedOut = once(server, "tlsClientError");
  (server as unknown as EventEmitter).emit("connection", theirs);
  await within(5_000, timedOut);
  assert.deepEqual(failures, []);
  ours.duplex.destroy();
  theirs.duplex.destroy();
});
