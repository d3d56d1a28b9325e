/**
 * The seams between src/ssh/internals and ssh2's private parts, one test each (their numbers are in
 * transport.ts). After an update of ssh2 a failure here says which one has moved.
 */
// First, as in the program: ssh2 must not be loaded before seam 1 is in place.
import { Transport, transportReady } from "../../src/ssh/internals/transport.ts";
import { FiniteFieldKey } from "../../src/ssh/internals/finite_field.ts";
import { shortenExponent } from "../../src/ssh/internals/key_exchange.ts";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import cryptoParts from "ssh2/lib/protocol/crypto.js";
import kexParts from "ssh2/lib/protocol/kex.js";
import keyParser from "ssh2/lib/protocol/keyParser.js";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import protocolUtils from "ssh2/lib/protocol/utils.js";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import { blobType, publicKeyBlob } from "../../src/certificates/ssh_key.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import { ChaChaPolyCipher, ChaChaPolyDecipher } from "../../src/ssh/cipher/chacha_poly.ts";
import { byte, string } from "../../src/ssh/wire.ts";
import { KEY_TYPES, newKey } from "./pair.ts";

const require = createRequire(import.meta.url);
const HOUR = 3_600_000;

// deno-lint-ignore no-explicit-any
type Any = any;

function hostCertificate(keys: (typeof KEY_TYPES)[number]) {
  const privateKey = newKey(keys);
  const { blob } = issueSshCertificate({
    certType: "host",
    publicKey: privateKey,
    authorityKey: newKey("ed25519"),
    keyId: "relay-server",
    principals: ["relay.test:2222"],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
  });
  return { certificate: blob, privateKey };
}

/** Two of ssh2's own protocols, joined in memory, with a raw host key: ssh2 as it is. */
function plainPair(
  onPayload?: (payload: Buffer) => unknown,
  cipher = ["aes128-ctr"],
  { kex = ["curve25519-sha256"], onError = (error: Error): void => assert.fail(error) } = {},
) {
  const { parseKey } = keyParser as Any;
  const { utils } = require("ssh2");
  // Of 200 Ed25519 keys that ssh2 makes on Deno one or two cannot be read by ssh2.
  let hostKey: Any;
  do hostKey = parseKey(utils.generateKeyPairSync("ed25519").private); while (
    hostKey instanceof Error
  );
  const one = { cipher, mac: ["hmac-sha2-256"], compress: ["none"], lang: [] };
  const lines = { toServer: [] as Buffer[], toClient: [] as Buffer[] };
  const make = (server: boolean, out: Buffer[], more: object): Any =>
    new (Protocol as Any)({
      server,
      offer: { kex, serverHostKey: ["ssh-ed25519"], cs: one, sc: one },
      onWrite: (data: Buffer) => out.push(Buffer.from(data)),
      onError,
      ...more,
    });
  const client = make(false, lines.toServer, { hostVerifier: () => true });
  const server = make(true, lines.toClient, { hostKeys: { "ssh-ed25519": hostKey } });
  if (onPayload) {
    const own = client._onPayload;
    client._onPayload = (payload: Buffer) => {
      if (payload[0] === 20) return own(payload);
      return onPayload(payload);
    };
  }
  const carry = () => {
    while (lines.toServer.length + lines.toClient.length > 0) {
      for (const data of lines.toServer.splice(0)) server.parse(data, 0, data.length);
      for (const data of lines.toClient.splice(0)) client.parse(data, 0, data.length);
    }
  };
  return { client, server, carry, lines };
}

Deno.test("the seams are those of ssh2 1.17.0", () => {
  assert.equal(require("ssh2/package.json").version, "1.17.0");
  const { imports } = JSON.parse(readFileSync(new URL("../../deno.json", import.meta.url), "utf8"));
  assert.equal(imports.ssh2, "npm:ssh2@1.17.0");
});

Deno.test("before seam 1: crypto.init is the promise that must be waited for", () => {
  assert.ok((cryptoParts as Any).init instanceof Promise);
  assert.equal(transportReady, (cryptoParts as Any).init);
});

Deno.test("seam 1: parseDERKey is exported, is the one that kex.js uses, and reads certificates", () => {
  const kex = readFileSync(require.resolve("ssh2/lib/protocol/kex.js"), "utf8");
  assert.match(kex, /parseDERKey,?\s*\}?[^}]*\} = require\('\.\/keyParser\.js'\)/);
  assert.match(kex, /parsedHostKey = parseDERKey\(hostKey, name\)/);
  const { parseDERKey } = keyParser as Any;
  for (const keys of KEY_TYPES) {
    const { certificate, privateKey } = hostCertificate(keys);
    const type = blobType(certificate);
    const key = parseDERKey(certificate.subarray(4 + type.length), type);
    assert.ok(key.getPublicSSH().equals(publicKeyBlob(privateKey)), `${keys}: ${key}`);
    assert.equal(typeof key.verify, "function");
    const plain = publicKeyBlob(privateKey);
    assert.ok(
      parseDERKey(plain.subarray(4 + blobType(plain).length), blobType(plain)).getPublicSSH()
        .equals(plain),
    );
    assert.ok(parseDERKey(Buffer.from("nonsense"), type) instanceof Error);
  }
});

Deno.test("seam 2: _kex is assigned once a key exchange, with what was negotiated and a parse", async () => {
  await transportReady;
  const { client, server, carry } = plainPair();
  for (const end of [client, server]) {
    assert.ok(Object.hasOwn(end, "_kex"));
    assert.equal(end._kex, undefined);
  }
  const parsed: number[] = [];
  let kex: Any;
  let assigned = 0;
  Object.defineProperty(client, "_kex", {
    get: () => kex,
    set: (value) => {
      assigned++;
      kex = value;
      assert.equal(kex.negotiated.serverHostKey, "ssh-ed25519");
      const parse = kex.parse;
      kex.parse = (payload: Buffer) => {
        parsed.push(payload[0]!);
        return parse.call(kex, payload);
      };
    },
  });
  client.start();
  server.start();
  carry();
  assert.equal(assigned, 1);
  assert.deepEqual(parsed, [31, 21]);
  assert.deepEqual([kex.negotiated.cs.cipher, kex.negotiated.sc.mac], [
    "aes128-ctr",
    "hmac-sha2-256",
  ]);
  const { sessionID } = kex;
  assert.ok(sessionID.equals(server._kex.sessionID));
  client.rekey();
  carry();
  assert.equal(assigned, 2);
  assert.ok(kex.sessionID.equals(sessionID), "a rekey keeps the session's identifier");
});

Deno.test("seam 3: _onPayload set before the first keys takes every payload, after a rekey too", async () => {
  await transportReady;
  const got: number[] = [];
  const { client, server, carry } = plainPair((payload) => void got.push(payload[0]!));
  client.start();
  server.start();
  carry();
  server.ping();
  carry();
  assert.deepEqual(got, [7, 80], "EXT_INFO, then the ping");
  assert.equal(client._decipher._onPayload, client._onPayload);
  client.rekey();
  carry();
  server.ping();
  carry();
  assert.deepEqual(got, [7, 80, 80]);
});

Deno.test("seam 4: a packet is laid out by _packetRW.write and sent by sendPacket", async () => {
  await transportReady;
  const got: Buffer[] = [];
  const { client, server, carry } = plainPair((payload) => void got.push(Buffer.from(payload)));
  client.start();
  server.start();
  carry();
  got.length = 0;
  const send = (body: string) => {
    const writer = server._packetRW.write;
    const at = writer.allocStart;
    const packet = writer.alloc(1 + body.length);
    packet[at] = 80;
    packet.set(Buffer.from(body), at + 1);
    return (protocolUtils as Any).sendPacket(server, writer.finalize(packet));
  };
  assert.equal(server._packetRW.write.allocStart, 5);
  assert.equal(send("now"), true);
  server.rekey();
  assert.equal(server._packetRW.write.allocStart, 0);
  assert.equal(send("while keys are exchanged"), false);
  carry();
  assert.deepEqual(got.map((m) => m.subarray(1).toString()), ["now", "while keys are exchanged"]);
});

Deno.test("seam 5: _kexinit is set exactly while keys are exchanged", async () => {
  await transportReady;
  const { client, server, carry } = plainPair();
  assert.equal(client._kexinit, undefined);
  client.start();
  server.start();
  carry();
  assert.equal(client._kexinit, undefined);
  assert.equal(server._kexinit, undefined);
  client.rekey();
  assert.ok(Buffer.isBuffer(client._kexinit));
  carry();
  assert.equal(client._kexinit, undefined);
});

Deno.test("seam 6: remoteExtInfoEnabled is assigned to a server's _kex and asks for EXT_INFO", async () => {
  await transportReady;
  const got: number[] = [];
  const { client, server, carry } = plainPair((payload) => void got.push(payload[0]!));
  let kex: Any;
  let wanted: unknown;
  Object.defineProperty(server, "_kex", {
    get: () => kex,
    set: (value) => {
      kex = value;
      Object.defineProperty(kex, "remoteExtInfoEnabled", {
        get: () => false,
        set: (value) => wanted = value,
      });
    },
  });
  client.start();
  server.start();
  carry();
  assert.equal(wanted, true);
  assert.deepEqual(got, [], "ssh2 sends no EXT_INFO of its own");
});

Deno.test("seam 7: kex.js makes our ChaCha20-Poly1305, and ssh2 sets its fields while keys are exchanged", async () => {
  await transportReady;
  const chacha = ["chacha20-poly1305@openssh.com"];
  const { client, server, carry } = plainPair(undefined, chacha);
  client.start();
  server.start();
  carry();
  for (const side of [client, server]) {
    assert.ok(side._cipher instanceof ChaChaPolyCipher);
    assert.ok(side._decipher instanceof ChaChaPolyDecipher);
  }
  // ssh2 sets the sequence numbers to 0 with new keys (strict kex); one EXT_INFO has come since.
  assert.deepEqual([client._cipher.outSeqno, client._decipher.inSeqno], [0, 1]);
  const { _cipher: before, _decipher: { _onPayload: own } } = server;
  client.rekey();
  server.parse(Buffer.alloc(0), 0, 0);
  carry();
  assert.notEqual(server._cipher, before, "a rekey makes a new cipher");
  assert.equal(server._decipher._onPayload, own, "and gives it the same receiver");
  const text = readFileSync(require.resolve("ssh2/lib/protocol/kex.js"), "utf8");
  assert.match(text, /_decipher\._onPayload = onKEXPayload/);
  assert.match(text, /createCipher,\n\s+createDecipher,/);
});

Deno.test("seam 8: _offer is what our KEXINIT is made of, _strictMode what the peer's says", async () => {
  await transportReady;
  const { client, server, carry } = plainPair();
  assert.deepEqual([client._strictMode, server._strictMode], [undefined, undefined]);
  const { KexInit } = kexParts as Any;
  const one = { cipher: ["aes256-ctr"], mac: ["hmac-sha2-512"], compress: ["none"], lang: [] };
  const offer = { kex: ["curve25519-sha256"], serverHostKey: ["ssh-ed25519"], cs: one, sc: one };
  server._offer = new KexInit(offer);
  client._offer = new KexInit({ ...offer, kex: [...offer.kex, "kex-strict-c-v00@openssh.com"] });
  client.start();
  server.start();
  carry();
  assert.deepEqual(server._kex.negotiated.cs, {
    cipher: "aes256-ctr",
    mac: "hmac-sha2-512",
    compress: "none",
    lang: "",
  });
  assert.equal(client._strictMode, false, "ssh2 adds no promise to a KexInit");
  assert.equal(server._strictMode, true);
  const strict = plainPair();
  strict.client.start();
  strict.server.start();
  strict.carry();
  assert.deepEqual([strict.client._strictMode, strict.server._strictMode], [true, true]);
});

Deno.test("seam 9: whoever is set as _decipher._onPayload when _kex is assigned gets the exchange's payloads", async () => {
  await transportReady;
  const { client, server, carry } = plainPair();
  const got: number[][] = [];
  let kex: Any;
  Object.defineProperty(client, "_kex", {
    get: () => kex,
    set: (value) => {
      kex = value;
      const types: number[] = [];
      got.push(types);
      const { _decipher: decipher } = client;
      const receive = decipher._onPayload;
      decipher._onPayload = (payload: Buffer) => {
        types.push(payload[0]!);
        return receive(payload);
      };
    },
  });
  client.start();
  server.start();
  carry();
  server.ping();
  client.rekey();
  carry();
  server.ping();
  carry();
  assert.deepEqual(got, [[31, 21], [31, 21]]);
});

Deno.test("seam 10: an exchange in a finite field says which, and ends by an Error from computeSecret", async () => {
  await transportReady;
  const errors: Error[] = [];
  const { client, server, carry } = plainPair(undefined, undefined, {
    kex: ["diffie-hellman-group14-sha256"],
    onError: (error) => errors.push(error),
  });
  let kex: Any;
  Object.defineProperty(server, "_kex", {
    get: () => kex,
    set: (value) => {
      kex = value;
      assert.deepEqual([kex.type, kex.groupName], ["group", "modp14"]);
      kex.computeSecret = () => new Error("no");
    },
  });
  client.start();
  server.start();
  carry();
  assert.match(errors[0]!.message, /Error while computing DH secret \(group\): no/);
});

Deno.test("seam 11: an exchange in a finite field takes the key that its generateKeys leaves, on both sides", async () => {
  await transportReady;
  const { client, server, carry } = plainPair(undefined, undefined, {
    kex: ["diffie-hellman-group14-sha256"],
  });
  const keys: Any[] = [];
  for (const side of [client, server]) {
    let kex: Any;
    Object.defineProperty(side, "_kex", {
      get: () => kex,
      set: (value) => {
        kex = value;
        shortenExponent(kex);
        const { generateKeys } = kex;
        kex.generateKeys = () => {
          generateKeys();
          // ssh2 drops it when it has the secret.
          keys.push(kex._dh);
        };
      },
    });
  }
  client.start();
  server.start();
  carry();
  assert.ok(client._kex.sessionID.equals(server._kex.sessionID));
  assert.ok(keys.length > 0 && keys.every((key) => key instanceof FiniteFieldKey));
});

for (const keys of KEY_TYPES) {
  Deno.test(`all seams together: two transports agree by a ${keys} host certificate, and again`, async () => {
    await transportReady;
    const host = hostCertificate(keys);
    const lines = { toServer: [] as Buffer[], toClient: [] as Buffer[] };
    const got: string[] = [];
    const ready: string[] = [];
    const make = (role: "client" | "server", out: Buffer[]) =>
      new Transport({
        role,
        algorithms: ALGORITHMS,
        ident: "test",
        ...(role === "server" ? { host } : {
          verifyHostKey: (blob: Buffer) => assert.ok(blob.equals(host.certificate)),
        }),
        events: {
          onWrite: (data) => out.push(Buffer.from(data)),
          onReady: (first) => ready.push(`${role} ${first}`),
          onMessage: (payload) => got.push(payload.subarray(5).toString()),
          onDisconnect: (_, text) => assert.fail(text),
          onError: (error) => assert.fail(error),
        },
      });
    const client = make("client", lines.toServer);
    const server = make("server", lines.toClient);
    const carry = () => {
      while (lines.toServer.length + lines.toClient.length > 0) {
        server.receive(Buffer.concat(lines.toServer.splice(0)));
        client.receive(Buffer.concat(lines.toClient.splice(0)));
      }
    };
    client.start();
    server.start();
    carry();
    assert.deepEqual(ready.sort(), ["client true", "server true"]);
    assert.ok(client.sessionId.equals(server.sessionId));
    // Both ask at once, and both speak before they know of the other's wish.
    client.rekey();
    server.rekey();
    assert.ok(client.exchanging && server.exchanging);
    client.send(byte(80), string("from the client"));
    server.send(byte(80), string("from the server"));
    carry();
    assert.deepEqual(got.sort(), ["from the client", "from the server"]);
    assert.ok(!client.exchanging && !server.exchanging);
    assert.equal(ready.length, 4);
    client.destroy();
    server.destroy();
  });
}
