import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { SallyportError } from "../../src/errors.ts";
import { LARGEST_OPENING, Opening, type PeerOffer } from "../../src/ssh/opening.ts";
import { string } from "../../src/ssh/wire.ts";
import { meaningless, NUMBER, packet } from "./meddler.ts";

function kexinit(kex: string, rest: string[] = []): Buffer {
  const lists = [kex, "ssh-ed25519", "c1,c2", "c3", "m1", "m2", "none", "none", "", ""];
  rest.forEach((list, at) => lists[1 + at] = list);
  return packet(Buffer.concat([
    Buffer.of(NUMBER.kexinit),
    Buffer.alloc(16, 7),
    ...lists.map(string),
    Buffer.alloc(5),
  ]));
}

const IDENT = "SSH-2.0-Test_1.0 x\r\n";

Deno.test("the offer is read, however the bytes are cut, and whatever follows it", () => {
  const whole = Buffer.concat([
    Buffer.from(`hello\r\nworld\n${IDENT}`),
    packet(meaningless(NUMBER.ignore)),
    kexinit("curve25519-sha256,kex-strict-s-v00@openssh.com"),
  ]);
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 400 }), fc.uint8Array(), (sizes, more) => {
      const opening = new Opening("server");
      const all = Buffer.concat([whole, more]);
      let offer: PeerOffer | "none" | undefined;
      let at = 0;
      for (const size of [...sizes, all.length]) {
        if (offer) break;
        offer = opening.add(all.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(offer, {
        ident: "SSH-2.0-Test_1.0 x",
        kex: ["curve25519-sha256", "kex-strict-s-v00@openssh.com"],
        serverHostKey: ["ssh-ed25519"],
        cipher: { cs: ["c1", "c2"], sc: ["c3"] },
        mac: { cs: ["m1"], sc: ["m2"] },
        compression: { cs: ["none"], sc: ["none"] },
        strict: true,
      });
      assert.deepEqual(opening.bytes, all.subarray(0, at));
    }),
    { numRuns: 200, seed: 1 },
  );
});

Deno.test("a promise is the one of the peer's own side only", () => {
  for (const peer of ["client", "server"] as const) {
    for (const letter of ["c", "s"]) {
      const offer = new Opening(peer).add(
        Buffer.concat([Buffer.from(IDENT), kexinit(`a,kex-strict-${letter}-v00@openssh.com`)]),
      );
      assert.equal((offer as PeerOffer).strict, letter === peer[0]);
    }
  }
});

Deno.test("something else in the offer's place is left to the one who knows", () => {
  for (const payload of [Buffer.of(30), Buffer.of(1, 0, 0, 0, 2), Buffer.of(50)]) {
    assert.equal(
      new Opening("client").add(Buffer.concat([Buffer.from(IDENT), packet(payload)])),
      "none",
    );
  }
  const huge = Buffer.concat([Buffer.from(IDENT), Buffer.from("fffffff0041400", "hex")]);
  assert.equal(new Opening("client").add(huge), "none");
});

Deno.test("an opening without an end, byte by byte or line by line, is refused within bounds", () => {
  for (const chunk of ["x", "hello\r\n", "y".repeat(1000)]) {
    const opening = new Opening("server");
    const started = performance.now();
    assert.throws(
      () => {
        for (let i = 0; i < 2 * LARGEST_OPENING; i++) opening.add(Buffer.from(chunk));
      },
      (error) => error instanceof SallyportError && error.code === "ssh-protocol",
    );
    assert.ok(opening.bytes.length <= LARGEST_OPENING + chunk.length);
    assert.ok(performance.now() - started < 2000);
  }
});

Deno.test("whatever bytes come first, the answer is an offer, none, or an error of ours", () => {
  const good = Buffer.concat([Buffer.from(IDENT), kexinit("a,b")]);
  const changed = fc.tuple(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 5 }))
    .map(([at, bytes]) => {
      const copy = Buffer.concat([good, Buffer.alloc(5)]);
      copy.set(bytes, at);
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        new Opening("client").add(bytes);
      } catch (error) {
        assert.ok(error instanceof SallyportError, String(error));
      }
    }),
    { numRuns: 1000, seed: 2 },
  );
});
