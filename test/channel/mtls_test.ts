import assert from "node:assert/strict";
import { once } from "node:events";
import { MtlsAcceptor } from "../../src/channel/mtls.ts";
import { type Identity, KEY_TYPES, Pki, SERVER_AUTH } from "./pki.ts";
import { closed, tlsClient, type Wire, wire } from "./wire.ts";

const HOUR = 3_600_000;
const REFUSED =
  /client certificate refused: .*not of the platform's authority, expired, not valid yet/;

/** Everything that the client hears, until its connection is over. */
function listen(client: ReturnType<typeof tlsClient>) {
  const heard = { error: undefined as Error | undefined, bytes: 0 };
  client.on("error", (error: Error) => heard.error = error);
  client.on("data", (chunk) => heard.bytes += chunk.length);
  const over = new Promise<void>((resolve) => {
    client.once("end", () => client.destroy());
    client.once("close", () => resolve());
  });
  return { heard, over };
}

for (const type of KEY_TYPES) {
  const pki = await Pki.create(type);
  const foreign = await Pki.create(type);

  Deno.test(`${type}: a client of the authority is let in, with its protocol and certificate`, async () => {
    const acceptor = new MtlsAcceptor({ ...pki.registration });
    await using pair = await wire();
    const identity = await pki.client();
    const accepting = acceptor.accept(pair.channel);
    const client = tlsClient(pair, identity, {
      ca: pki.root.certificate,
      ALPNProtocols: ["infisical-ping", "infisical-health"],
    });
    client.on("error", () => {});
    const { stream, alpn, certificate } = await accepting;
    assert.equal(alpn, "infisical-ping");
    assert.deepEqual(certificate, identity.der);
    client.end("hello");
    const [chunk] = await once(stream, "data");
    assert.equal(String(chunk), "hello");
    stream.end("bye");
    const [answer] = await once(client, "data");
    assert.equal(String(answer), "bye");
    client.destroy();
    stream.destroy();
    await closed(pair.channel);
  });

  const refused: [string, RegExp, (() => Promise<Identity>) | undefined][] = [
    ["of another authority", REFUSED, () => foreign.client()],
    [
      "that has expired",
      REFUSED,
      () =>
        pki.client({
          notBefore: new Date(Date.now() - 2 * HOUR),
          notAfter: new Date(Date.now() - HOUR),
        }),
    ],
    [
      "that is not valid yet",
      REFUSED,
      () => pki.client({ notBefore: new Date(Date.now() + HOUR / 2) }),
    ],
    ["that it signed itself", REFUSED, () => pki.selfSigned()],
    ["for servers alone", REFUSED, () => pki.client({ usage: SERVER_AUTH })],
    [
      "that is missing",
      /client certificate refused: it is missing|certificate required|no certificates/i,
      undefined,
    ],
  ];
  for (const [what, reason, make] of refused) {
    Deno.test(`${type}: a client certificate ${what} is refused and nothing passes`, async () => {
      const acceptor = new MtlsAcceptor({ ...pki.registration });
      await using pair = await wire();
      const accepting = acceptor.accept(pair.channel);
      const client = tlsClient(pair, await make?.());
      client.write("must not pass");
      const { heard, over } = listen(client);
      const failure = await accepting.then(() => assert.fail("it was let in"), (error) => error);
      assert.equal(failure.code, "mtls-handshake");
      assert.match(failure.message, reason);
      await over;
      await closed(pair.channel);
      assert.equal(heard.bytes, 0);
    });
  }
}

const pki = await Pki.create("ecdsa");
const identity = await pki.client();

/** Accepts on a fresh wire what `act` does at its other end. Gives the failure. */
async function failureOf(
  act: (pair: Wire) => void,
  options: { handshakeTimeout?: number; signal?: AbortSignal } = {},
) {
  const acceptor = new MtlsAcceptor({ ...pki.registration, ...options });
  await using pair = await wire();
  const accepting = acceptor.accept(pair.channel, options.signal);
  act(pair);
  const failure = await accepting.then(() => assert.fail("it was let in"), (error) => error);
  await closed(pair.channel);
  assert.equal(failure.code, "mtls-handshake");
  return failure as Error;
}

Deno.test("an unknown protocol is refused with no_application_protocol, as the client hears", async () => {
  const acceptor = new MtlsAcceptor({ ...pki.registration });
  await using pair = await wire();
  const accepting = acceptor.accept(pair.channel);
  const client = tlsClient(pair, identity, { ALPNProtocols: ["infisical-pam-ssh"] });
  const { heard, over } = listen(client);
  await assert.rejects(accepting, {
    code: "mtls-handshake",
    message: /doesn't support any known protocol/,
  });
  await over;
  assert.match(String(heard.error), /no.?application.?protocol/i);
});

Deno.test("TLS 1.1 is refused", async () => {
  // A ClientHello of TLS 1.1 by hand: no TLS library here would still send one.
  const hello = new Uint8Array([
    ...[0x16, 3, 1, 0, 57, 1, 0, 0, 53, 3, 2],
    ...new Uint8Array(32).fill(7),
    ...[0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3],
  ]);
  const failure = await failureOf(({ far }) => far.write(hello));
  assert.match(failure.message, /incompatible: Tls12NotOffered/);
});

Deno.test("bytes that are not TLS are refused", async () => {
  await failureOf(({ far }) => far.write("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"));
});

Deno.test("a client that says nothing is given up after the handshake's time", async () => {
  const started = performance.now();
  const failure = await failureOf(() => {}, { handshakeTimeout: 150 });
  assert.match(failure.message, /too long/);
  assert.ok(performance.now() - started < 3_000);
});

Deno.test("a channel that is closed in the middle of a handshake is told as such", async () => {
  const failure = await failureOf(({ far }) => {
    far.write(new Uint8Array([0x16, 3, 1]));
    far.resetAndDestroy();
  });
  assert.match(failure.message, /closed/);
});

Deno.test("a channel that is already gone fails at once", async () => {
  const failure = await failureOf(({ channel }) => channel.destroy());
  assert.match(failure.message, /closed/);
});

Deno.test("a channel that breaks with an error at once is no uncaught error", async () => {
  const failure = await failureOf(({ channel }) => channel.destroy(new Error("the cable was cut")));
  assert.match(failure.message, /closed/);
});

Deno.test("a gateway that is stopping ends a handshake, begun or not", async () => {
  const stop = new AbortController();
  const begun = await failureOf(({ far }) => {
    far.write(new Uint8Array([0x16]));
    setTimeout(() => stop.abort(), 50);
  }, { signal: stop.signal });
  assert.match(begun.message, /stopping/);
  const started = performance.now();
  const late = await failureOf(() => {}, { signal: stop.signal });
  assert.match(late.message, /stopping/);
  assert.ok(performance.now() - started < 3_000);
});

Deno.test("a key that does not fit its certificate is told when opening", async () => {
  const other = await Pki.create("ecdsa");
  assert.throws(
    () => new MtlsAcceptor({ ...pki.registration, serverPrivateKey: other.server.privateKey }),
    { code: "key-malformed" },
  );
});

Deno.test("a client without a protocol never reaches a mode", async () => {
  const { ChannelServer } = await import("../../src/channel/server.ts");
  const server = new ChannelServer({ pki: pki.registration });
  await using pair = await wire();
  server.accept(pair.channel);
  const client = tlsClient(pair, identity, { ALPNProtocols: undefined });
  const { heard, over } = listen(client);
  await over;
  await server.close();
  assert.deepEqual({ ...server.counts }, {
    open: 0,
    served: 0,
    failed: 1,
    refused: 0,
    bytesIn: 0,
    bytesOut: 0,
  });
  assert.equal(heard.bytes, 0);
});
