/** What is offered, word for word, and what becomes of a peer that offers nothing of it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { Socket } from "node:net";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { ALGORITHMS, whatIsOld, withoutStrictness } from "../../src/ssh/algorithms.ts";
import { Opening, type PeerOffer } from "../../src/ssh/opening.ts";
import { string } from "../../src/ssh/wire.ts";
import { within } from "../within.ts";
import { laxAlgorithms, laxTransports } from "./lax_peer.ts";
import { NUMBER, packet } from "./meddler.ts";
import { connectTo, KEY_TYPES, type KeyType, listenOnce, pair } from "./pair.ts";

const KEX = [
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "diffie-hellman-group16-sha512",
  "diffie-hellman-group18-sha512",
  "diffie-hellman-group14-sha256",
];
const CIPHERS = [
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
];
const MACS = [
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha2-256",
  "hmac-sha2-512",
];
const HOST_KEYS: Record<KeyType, string[]> = {
  ed25519: ["ssh-ed25519-cert-v01@openssh.com"],
  ecdsa: ["ecdsa-sha2-nistp256-cert-v01@openssh.com"],
  rsa: ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"],
};

/** Lists of a KEXINIT; what is not named is what we offer ourselves. */
interface Lists {
  kex?: string[];
  serverHostKey?: string[];
  cipher?: string[];
  mac?: string[];
  compression?: string[];
  /** @default true */
  strict?: boolean;
}

function hello(side: "client" | "server", lists: Lists): Buffer {
  const { kex = KEX, serverHostKey = ALGORITHMS.serverHostKey } = lists;
  const { cipher = CIPHERS, mac = MACS, compression = ["none"], strict = true } = lists;
  const promise = strict ? [`kex-strict-${side[0]}-v00@openssh.com`] : [];
  const all = [
    [...kex, ...promise],
    serverHostKey,
    cipher,
    cipher,
    mac,
    mac,
    compression,
    compression,
  ];
  return Buffer.concat([
    Buffer.from("SSH-2.0-Other_1.0\r\n"),
    packet(Buffer.concat([
      Buffer.of(NUMBER.kexinit),
      Buffer.alloc(16, 7),
      ...[...all, [], []].map((list) => string(list.join(","))),
      Buffer.alloc(5),
    ])),
  ]);
}

/** The first thing that one of ours says to somebody who says `said`. */
async function offerTo(side: Socket, role: "client" | "server", said: Buffer): Promise<PeerOffer> {
  const opening = new Opening(role);
  const offer = new Promise<PeerOffer>((resolve, reject) => {
    side.on("data", (data: Buffer) => {
      const read = opening.add(data);
      if (read === "none") reject(new Error("no KEXINIT"));
      else if (read) resolve(read);
    });
  });
  side.on("error", () => {});
  side.write(said);
  return await within(5000, offer);
}

const direction = (list: string[]) => ({ cs: list, sc: list });

for (const keys of KEY_TYPES) {
  Deno.test(`our relay with a ${keys} certificate offers this and nothing else`, async () => {
    const p = await pair({ keys, connect: () => new Promise(() => {}) });
    const side = await connectTo(p.port);
    const offer = await offerTo(side, "server", hello("client", {}));
    assert.deepEqual({ ...offer, ident: offer.ident.replace(/_.*/, "") }, {
      ident: "SSH-2.0-sallyport",
      kex: [...KEX, "kex-strict-s-v00@openssh.com"],
      serverHostKey: HOST_KEYS[keys],
      cipher: direction(CIPHERS),
      mac: direction(MACS),
      compression: direction(["none"]),
      strict: true,
    });
    side.destroy();
    await assert.rejects(p.server, SallyportError);
    await p.closeServer();
  });
}

for (const strict of [true, false]) {
  Deno.test(`our gateway offers this and nothing else to a relay that is ${strict ? "" : "not "}strict`, async () => {
    const { server, socket, port } = await listenOnce();
    const p = await pair({ connect: () => connectTo(port) });
    const side = await socket;
    const offer = await offerTo(side, "client", hello("server", { strict }));
    assert.deepEqual({ ...offer, ident: "" }, {
      ident: "",
      kex: [...KEX, "ext-info-c", "kex-strict-c-v00@openssh.com"],
      serverHostKey: [
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "rsa-sha2-512-cert-v01@openssh.com",
        "rsa-sha2-256-cert-v01@openssh.com",
      ],
      cipher: direction(strict ? CIPHERS : CIPHERS.slice(1)),
      mac: direction(strict ? MACS : ["hmac-sha2-256", "hmac-sha2-512"]),
      compression: direction(["none"]),
      strict: true,
    });
    side.destroy();
    await assert.rejects(p.client, SallyportError);
    (await connectTo(p.port)).destroy();
    await assert.rejects(p.server, SallyportError);
    server.close();
    await p.closeServer();
  });
}

const REFUSED: { what: string; lists: Lists; names: string[]; code?: ErrorCode }[] = [
  ...[
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256",
    "rsa1024-sha1",
    "ext-info-c",
  ].map((name) => ({ what: "key exchange", lists: { kex: [name] }, names: [name] })),
  ...[
    "3des-cbc",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "rijndael-cbc@lysator.liu.se",
    "blowfish-cbc",
    "cast128-cbc",
    "arcfour",
    "arcfour128",
    "arcfour256",
    "none",
  ].map((name) => ({ what: "cipher", lists: { cipher: [name] }, names: [name] })),
  ...[
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-sha1-etm@openssh.com",
    "hmac-md5",
    "hmac-md5-96",
    "hmac-md5-etm@openssh.com",
    "hmac-ripemd160",
    "umac-64@openssh.com",
    "none",
  ].map((name) => ({
    what: "MAC",
    lists: { cipher: ["aes128-ctr"], mac: [name] },
    names: [name],
  })),
  ...["ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"].map((name) => ({
    what: "host key",
    lists: { serverHostKey: [name] },
    names: [name],
  })),
  ...["ssh-rsa", "ssh-dss", "ssh-ed25519", "rsa-sha2-256"].map((name) => ({
    what: "host key",
    lists: { serverHostKey: [name] },
    names: [name],
    code: "host-key-raw" as const,
  })),
  ...["zlib", "zlib@openssh.com"].map((name) => ({
    what: "compression",
    lists: { compression: [name] },
    names: [name],
  })),
  { what: "cipher", lists: { cipher: [] }, names: ["nothing"] },
  {
    what: "cipher",
    lists: { cipher: ["3des-cbc", "aes256-cbc\n\x1b[2J", "arcfour"] },
    names: ["3des-cbc", "aes256-cbc??[2J", "arcfour"],
  },
];

function saysSo(names: string[], code: ErrorCode, what: string) {
  return (error: unknown) => {
    assert.ok(error instanceof SallyportError, String(error));
    assert.equal(error.code, code, error.message);
    for (const name of names) assert.ok(error.message.includes(name), error.message);
    if (code === "ssh-algorithms") {
      assert.match(
        error.message,
        new RegExp(`no ${what} algorithm in common with SSH-2.0-Other_1.0`),
      );
      assert.match(error.hint ?? "", /^allowed here: /);
    }
    return true;
  };
}

for (const { what, lists, names, code = "ssh-algorithms" } of REFUSED) {
  const only = JSON.stringify(names.join(", "));
  Deno.test(`a peer that offers only ${only} as ${what} is refused by both of ours, which say what it offered`, async () => {
    const { server, socket, port } = await listenOnce();
    const p = await pair({ connect: () => connectTo(port) });
    const relay = await socket;
    const gateway = await connectTo(p.port);
    for (const side of [relay, gateway]) side.on("error", () => {}).resume();
    relay.write(hello("server", lists));
    gateway.write(hello("client", lists));
    await within(5000, assert.rejects(p.client, saysSo(names, code, what)));
    await within(5000, assert.rejects(p.server, saysSo(names, "ssh-algorithms", what)));
    for (const side of [relay, gateway]) {
      if (!side.readableEnded) await within(5000, once(side, "end"));
      side.destroy();
    }
    server.close();
    await p.closeServer();
  });
}

Deno.test("an endless list of algorithms is not repeated in the error", async () => {
  const p = await pair({ connect: () => new Promise(() => {}) });
  const gateway = await connectTo(p.port);
  gateway.on("error", () => {}).resume();
  gateway.write(hello("client", { cipher: Array.from({ length: 1000 }, (_, i) => `cipher-${i}`) }));
  await assert.rejects(p.server, (error) => {
    assert.ok(error instanceof SallyportError && error.code === "ssh-algorithms");
    assert.ok(error.message.length < 600, `${error.message.length}`);
    return true;
  });
  gateway.destroy();
  await p.closeServer();
});

Deno.test("what is old in a negotiated list is named, and what is not is not", async () => {
  const usual = { cipher: "chacha20-poly1305@openssh.com", mac: "" };
  const real = { cipher: "aes128-ctr", mac: "hmac-sha2-256" };
  const host = "ssh-ed25519";
  const negotiated = { kex: KEX[0]!, serverHostKey: host, cs: usual, sc: usual };
  assert.equal(whatIsOld(negotiated, true), undefined);
  assert.equal(whatIsOld(negotiated, false), "no strict key exchange");
  assert.equal(
    whatIsOld({ kex: KEX.at(-1)!, serverHostKey: host, cs: real, sc: real }, true),
    "diffie-hellman-group14-sha256, hmac-sha2-256",
  );
  assert.deepEqual(withoutStrictness(ALGORITHMS).cipher, CIPHERS.slice(1));
  const p = await pair();
  assert.equal((await p.server).old, undefined);
  await p.close();
  using _ = laxTransports("client");
  const only = { kex: KEX.slice(-1), cipher: ["aes256-ctr"], mac: ["hmac-sha2-512"] };
  const old = await pair({ client: { algorithms: laxAlgorithms(only) } });
  const relay = await old.server;
  assert.equal(relay.old, "diffie-hellman-group14-sha256, hmac-sha2-512, no strict key exchange");
  assert.match(relay.software, /^SSH-2\.0-sallyport_/);
  await old.close();
});
