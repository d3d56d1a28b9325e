/**
 * Somebody between both sides of a key exchange (Terrapin, CVE-2023-48795, and what is like it): nothing
 * can be put in or cut out unnoticed. The same against OpenSSH's programs: interop/terrapin_test.ts.
 */
import "../../src/ssh/internals/transport.ts";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { getDiffieHellman } from "node:crypto";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import cryptoParts from "ssh2/lib/protocol/crypto.js";
import kexParts from "ssh2/lib/protocol/kex.js";
import keyParser from "ssh2/lib/protocol/keyParser.js";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { ALGORITHMS, type Algorithms } from "../../src/ssh/algorithms.ts";
import { string, WireReader } from "../../src/ssh/wire.ts";
import { within } from "../within.ts";
import { laxAlgorithms, laxTransports } from "./lax_peer.ts";
import {
  type Change,
  inFrontOf,
  meaningless,
  type Meddler,
  meddler,
  type Meddling,
  NUMBER,
  type Way,
  withList,
  withoutPromise,
} from "./meddler.ts";
import { connectTo, GATEWAY_ID, listenOnce, type Pair, pair, type PairOptions } from "./pair.ts";

const require = createRequire(import.meta.url);
const NEWKEYS = 21;
const CHACHA = "chacha20-poly1305@openssh.com";

// deno-lint-ignore no-explicit-any
type Any = any;

const refusal = (code: ErrorCode, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SallyportError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, says);
  return true;
};

/** A pair with somebody between them. */
async function withMeddler(
  meddling: Meddling,
  run: (pair: Pair, between: Meddler) => Promise<void>,
  options: PairOptions = {},
): Promise<void> {
  const between = Promise.withResolvers<Meddler>();
  const p = await pair({
    ...options,
    connect: async (port) => {
      const middle = await meddler({ port }, meddling);
      between.resolve(middle);
      return await connectTo(middle.port);
    },
  });
  try {
    await within(10_000, run(p, await between.promise));
  } finally {
    await (await between.promise)[Symbol.asyncDispose]();
    await p.close();
  }
}

/** The attack itself: one message more for one that is cut out, and the numbers fit again. */
function terrapin(way: Way): Meddling {
  return {
    change: { [way]: inFrontOf(NEWKEYS, meaningless(NUMBER.ignore)) },
    cut: way,
  };
}

Deno.test("Terrapin works where keys are not exchanged strictly: the EXT_INFO is cut out unnoticed", async () => {
  await (cryptoParts as Any).init;
  const { KexInit } = kexParts as Any;
  const one = { cipher: [CHACHA], mac: [], compress: ["none"], lang: [] };
  const offer = () =>
    new KexInit({
      kex: ["curve25519-sha256", "ext-info-c"],
      serverHostKey: ["ssh-ed25519"],
      cs: one,
      sc: one,
    });
  const hostKey = (keyParser as Any).parseKey(
    require("ssh2").utils.generateKeyPairSync("ed25519").private,
  );
  for (const attack of [false, true]) {
    const { server, socket, port } = await listenOnce();
    await using between = await meddler({ port }, attack ? terrapin("toClient") : {});
    const got: string[] = [];
    const accepted = Promise.withResolvers<void>();
    const start = (side: Socket, config: object): Any => {
      const protocol = new (Protocol as Any)({
        offer: offer(),
        onWrite: (data: Buffer) => side.write(Buffer.from(data)),
        onError: accepted.reject,
        ...config,
      });
      side.on("data", (data: Buffer) => protocol.parse(data, 0, data.length));
      side.on("error", accepted.reject);
      protocol.start();
      return protocol;
    };
    const near = await connectTo(between.port);
    const far = await socket;
    start(far, {
      server: true,
      hostKeys: { "ssh-ed25519": hostKey },
      messageHandlers: { SERVICE_REQUEST: (p: Any, name: string) => p.serviceAccept(name) },
    });
    const client = start(near, {
      hostVerifier: () => true,
      onHandshakeComplete: () => client.service("ssh-userauth"),
      messageHandlers: {
        EXT_INFO: () => got.push("EXT_INFO"),
        SERVICE_ACCEPT: () => accepted.resolve(void got.push("SERVICE_ACCEPT")),
      },
    });
    await within(5000, accepted.promise);
    assert.deepEqual(got, attack ? ["SERVICE_ACCEPT"] : ["EXT_INFO", "SERVICE_ACCEPT"]);
    assert.equal(between.cutOut > 0, attack);
    for (const side of [near, far]) side.destroy();
    server.close();
  }
});

for (const way of ["toClient", "toServer"] as const) {
  Deno.test(`Terrapin ${way === "toClient" ? "at our gateway" : "at our relay"}: a message is put in before NEWKEYS and the first sealed one cut out`, () =>
    withMeddler(terrapin(way), async (p) => {
      const [victim, other] = way === "toClient" ? [p.client, p.server] : [p.server, p.client];
      await assert.rejects(victim, refusal("ssh-protocol", /SSH message 2 .* strict key exchange/));
      await assert.rejects(other, SallyportError);
    }));
}

const INTRUDERS: [string, Buffer][] = [
  ["an IGNORE", meaningless(NUMBER.ignore)],
  ["a DEBUG", meaningless(NUMBER.debug)],
  ["an UNIMPLEMENTED", meaningless(NUMBER.unimplemented)],
  ["an empty packet", Buffer.alloc(0)],
  ["a SERVICE_ACCEPT", Buffer.concat([Buffer.of(6, 0, 0, 0, 1), Buffer.from("x")])],
  ["a USERAUTH_SUCCESS", Buffer.of(52)],
  ["a message that nobody knows", Buffer.of(192)],
];

for (const [what, payload] of INTRUDERS) {
  Deno.test(`somebody puts ${what} anywhere into a key exchange of ours`, async (t) => {
    for (const way of ["toClient", "toServer"] as const) {
      const places: Record<string, Meddling> = {
        "before KEXINIT": { before: { [way]: [payload] } },
        "after KEXINIT": {
          change: { [way]: (p: Buffer) => p[0] === NUMBER.kexinit ? [p, payload] : [p] },
        },
        "before NEWKEYS": { change: { [way]: inFrontOf(NEWKEYS, payload) } },
      };
      for (const [place, meddling] of Object.entries(places)) {
        await t.step(`${place}, ${way}`, () =>
          withMeddler(meddling, async (p) => {
            const victim = way === "toClient" ? p.client : p.server;
            await assert.rejects(victim, refusal("ssh-protocol", /./));
            await assert.rejects(way === "toClient" ? p.server : p.client, SallyportError);
          }));
      }
    }
  });
}

Deno.test("somebody hides an IGNORE in the place of a wrong guess, which is skipped unread", async () => {
  const guess: Change = (p) => {
    if (p[0] !== NUMBER.kexinit) return [p];
    const [changed] = withList(0, ([first, ...rest]) => [...rest, first!])(p);
    // first_kex_packet_follows
    changed![changed!.length - 5] = 1;
    return [changed!, meaningless(NUMBER.ignore)];
  };
  await withMeddler({ change: { toServer: guess } }, async (p) => {
    await assert.rejects(p.server, refusal("ssh-protocol", /SSH message 2 .* strict key exchange/));
    await assert.rejects(p.client, SallyportError);
  });
  await withMeddler({ change: { toClient: guess } }, async (p) => {
    await assert.rejects(p.client, refusal("ssh-protocol", /SSH message 2 .* strict key exchange/));
    await assert.rejects(p.server, SallyportError);
  });
});

Deno.test("somebody changes the name of the other's software", async () => {
  // The line is part of what the host signs.
  for (const way of ["toServer", "toClient"] as const) {
    await withMeddler({ ident: { [way]: "SSH-2.0-Old_0.1\r\n" } }, async (p) => {
      await assert.rejects(p.client, SallyportError);
      await assert.rejects(p.server, SallyportError);
    });
  }
});

Deno.test("somebody sends a KEXINIT twice", async () => {
  for (const way of ["toClient", "toServer"] as const) {
    const twice: Change = (p) => p[0] === NUMBER.kexinit ? [p, p] : [p];
    await withMeddler({ change: { [way]: twice } }, async (p) => {
      await assert.rejects(p.client, SallyportError);
      await assert.rejects(p.server, SallyportError);
    });
  }
});

for (
  const [where, ways] of [
    ["the relay's", ["toClient"]],
    ["the gateway's", ["toServer"]],
    ["both sides'", ["toClient", "toServer"]],
  ] as const
) {
  Deno.test(`somebody takes the promise of strictness out of ${where} KEXINIT, to attack then`, async () => {
    const change = Object.fromEntries(ways.map((way) => [way, withoutPromise]));
    await withMeddler({ change }, async (p) => {
      await assert.rejects(p.client, SallyportError);
      await assert.rejects(p.server, SallyportError);
    });
  });
}

Deno.test("somebody makes both sides choose the weakest of their algorithms", async () => {
  const last = (names: string[]) => [names.filter((name) => !name.includes("ext-info")).at(-1)!];
  for (const list of [0, 2, 3, 4, 5]) {
    const change = { toClient: withList(list, last), toServer: withList(list, last) };
    await withMeddler({ change }, async (p) => {
      await assert.rejects(p.client, SallyportError);
      await assert.rejects(p.server, SallyportError);
    });
  }
});

const GROUP = "diffie-hellman-group14-sha256";
const prime = BigInt(`0x${getDiffieHellman("modp14").getPrime("hex")}`);

for (const [what, value] of Object.entries({ 0: 0n, 1: 1n, "p - 1": prime - 1n, p: prime })) {
  Deno.test(`a peer sends ${what} for its public value, so that everybody knows the secret`, async () => {
    const options = { client: { algorithms: { ...ALGORITHMS, kex: [GROUP] } } };
    const bytes = string(Buffer.from(value.toString(16).padStart(514, "0"), "hex"));
    const toServer: Change = (p) => p[0] === 30 ? [Buffer.concat([p.subarray(0, 1), bytes])] : [p];
    const toClient: Change = (p) => {
      if (p[0] !== 31) return [p];
      const reader = new WireReader(p, "reply", 1);
      const host = reader.bytes("host key");
      reader.bytes("value");
      return [Buffer.concat([p.subarray(0, 1), string(host), bytes, reader.rest()])];
    };
    await withMeddler({ change: { toServer } }, async (p) => {
      await assert.rejects(p.server, refusal("ssh-protocol", /gives the secret away/));
      await assert.rejects(p.client, SallyportError);
    }, options);
    await withMeddler({ change: { toClient } }, async (p) => {
      await assert.rejects(p.client, refusal("ssh-protocol", /gives the secret away/));
      await assert.rejects(p.server, SallyportError);
    }, options);
  });
}

for (const kex of ["curve25519-sha256", "ecdh-sha2-nistp256"]) {
  Deno.test(`a peer sends a point of ${kex} that is none, so that everybody knows the secret`, async () => {
    const points = kex.startsWith("curve")
      ? [Buffer.alloc(32), Buffer.concat([Buffer.of(1), Buffer.alloc(31)]), Buffer.alloc(31, 9)]
      : [Buffer.of(0), Buffer.concat([Buffer.of(4), Buffer.alloc(64, 7)]), Buffer.alloc(65)];
    for (const point of points) {
      const toServer: Change = (
        p,
      ) => [p[0] === 30 ? Buffer.concat([p.subarray(0, 1), string(point)]) : p];
      await withMeddler({ change: { toServer } }, async (p) => {
        await assert.rejects(p.server, refusal("ssh-protocol", /computing DH secret/));
        await assert.rejects(p.client, SallyportError);
      }, { client: { algorithms: { ...ALGORITHMS, kex: [kex] } } });
    }
  });
}

// Peers that are not strict

const OLD: { what: string; only: Partial<Algorithms>; safe: boolean }[] = [
  { what: CHACHA, only: { cipher: [CHACHA] }, safe: false },
  {
    what: "aes128-ctr with hmac-sha2-256-etm@openssh.com",
    only: { cipher: ["aes128-ctr"], mac: ["hmac-sha2-256-etm@openssh.com"] },
    safe: false,
  },
  {
    what: "aes128-ctr with hmac-sha2-256",
    only: { cipher: ["aes128-ctr"], mac: ["hmac-sha2-256"] },
    safe: true,
  },
  { what: "aes128-gcm@openssh.com", only: { cipher: ["aes128-gcm@openssh.com"] }, safe: true },
];

for (const { what, only, safe } of OLD) {
  const outcome = safe ? "is admitted" : "is refused";
  Deno.test(`a gateway that is not strict and wants ${what} ${outcome} by our relay`, async () => {
    using _ = laxTransports("client");
    const p = await pair({ client: { algorithms: laxAlgorithms(only) } });
    try {
      if (safe) {
        assert.equal((await p.server).gatewayId, GATEWAY_ID);
        assert.ok(await (await p.client).ping() > 0);
        return;
      }
      await assert.rejects(
        p.server,
        refusal("ssh-algorithms", /no strict key exchange \(CVE-2023-48795\).*(chacha20|-etm@)/),
      );
      await assert.rejects(p.client, SallyportError);
    } finally {
      await p.close();
    }
  });
}

Deno.test("with a relay that is not strict our gateway uses AES, although both know ChaCha20", async () => {
  using _ = laxTransports("server");
  const p = await pair({ server: { algorithms: laxAlgorithms() } });
  try {
    const relay = await p.server;
    assert.ok(await (await p.client).ping() > 0);
    relay.rekey();
    assert.ok(await relay.ping() > 0);
    const { cs, sc } = relay.algorithms!;
    assert.deepEqual([cs, sc].map(({ cipher, mac }) => `${cipher} ${mac}`), [
      "aes128-ctr hmac-sha2-256",
      "aes128-ctr hmac-sha2-256",
    ]);
  } finally {
    await p.close();
  }
});

for (const cipher of ["aes128-ctr", "aes256-gcm@openssh.com"]) {
  Deno.test(`Terrapin at our gateway, with a relay that is not strict: ${cipher} gives it away`, () => {
    const lax = laxTransports("server");
    return withMeddler(terrapin("toClient"), async (p, between) => {
      await assert.rejects(p.client, refusal("ssh-protocol", /MAC|packet length|authenticate/i));
      await assert.rejects(p.server, SallyportError);
      assert.ok(between.cutOut > 0);
    }, { server: { algorithms: laxAlgorithms({ cipher: [cipher] }) } }).finally(() =>
      lax[Symbol.dispose]()
    );
  });
}

Deno.test("a relay that is not strict and knows nothing but ChaCha20 is refused by our gateway", async () => {
  using _ = laxTransports("server");
  const p = await pair({ server: { algorithms: laxAlgorithms({ cipher: [CHACHA] }) } });
  try {
    await assert.rejects(
      p.client,
      refusal("ssh-algorithms", /no cipher algorithm in common.*chacha20/),
    );
    await assert.rejects(p.server, SallyportError);
  } finally {
    await p.close();
  }
});

Deno.test("somebody puts messages into the key exchange of a gateway that is not strict, and the MAC tells", async () => {
  using _ = laxTransports("client");
  const payload = meaningless(NUMBER.ignore);
  await withMeddler(
    { before: { toServer: [payload] }, change: { toServer: inFrontOf(NEWKEYS, payload) } },
    async (p) => void await assert.rejects(p.server, SallyportError),
    { client: { algorithms: laxAlgorithms({ cipher: ["aes128-ctr"], mac: ["hmac-sha2-256"] }) } },
  );
});
