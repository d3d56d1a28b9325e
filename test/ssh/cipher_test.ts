/** Our ChaCha20-Poly1305 against node's ChaCha20 and against the arithmetic of RFC 8439, in BigInt. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createCipheriv, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { ChaChaPolyCipher, ChaChaPolyDecipher } from "../../src/ssh/cipher/chacha_poly.ts";
import { assemble } from "../../src/ssh/cipher/assembler.ts";
import { poly1305, SUM, tag } from "../../src/ssh/cipher/poly1305.ts";

const KEYS = randomBytes(64);

function number(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function poly1305InBigInt(key: Uint8Array, message: Uint8Array): Buffer {
  const r = number(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16);
    sum = ((sum + number(block) + (1n << BigInt(8 * block.length))) * r) % ((1n << 130n) - 5n);
  }
  const tag = (sum + number(key.subarray(16))) & ((1n << 128n) - 1n);
  return Buffer.from(tag.toString(16).padStart(32, "0"), "hex").reverse();
}

function chacha20(key: Uint8Array, sequence: number, counter: number, data: Uint8Array): Buffer {
  const iv = Buffer.alloc(16);
  iv[0] = counter;
  iv.writeUInt32BE(sequence, 12);
  return createCipheriv("chacha20", key, iv).update(data);
}

/** PROTOCOL.chacha20poly1305 as it is written, with other people's primitives. */
function sealByTheBook(packet: Buffer, sequence: number): Buffer {
  const [main, length] = [KEYS.subarray(0, 32), KEYS.subarray(32)];
  const sealed = Buffer.concat([
    chacha20(length, sequence, 0, packet.subarray(0, 4)),
    chacha20(main, sequence, 1, packet.subarray(4)),
  ]);
  const oneTimeKey = chacha20(main, sequence, 0, Buffer.alloc(32));
  return Buffer.concat([sealed, poly1305InBigInt(oneTimeKey, sealed)]);
}

function cipher(seqno = 0) {
  const written: Buffer[] = [];
  const onWrite = (data: Uint8Array) => written.push(Buffer.from(data));
  return {
    cipher: new ChaChaPolyCipher({ outbound: { seqno, onWrite, cipherKey: KEYS } }),
    written,
  };
}

function decipher(seqno = 0) {
  const payloads: Buffer[] = [];
  const onPayload = (payload: Buffer) => void payloads.push(Buffer.from(payload));
  const inbound = { seqno, onPayload, decipherKey: KEYS };
  return { decipher: new ChaChaPolyDecipher({ inbound }), payloads };
}

// Those around 256, 512 and 768 are where the two ciphers begin and end to work together.
const SIZES = [
  ...[1, 2, 3, 7, 8, 11, 12, 51, 52, 59, 60, 61, 123, 244, 245, 250, 251, 252, 260, 300, 490, 500],
  ...[501, 508, 509, 516, 517, 524, 748, 756, 757, 764, 765, 772, 1000, 4097, 16_384, 32_768],
];

Deno.test("packets of every size are sealed as PROTOCOL.chacha20poly1305 says", () => {
  for (const sequence of [0, 1, 0x01020304, 0xffffffff]) {
    for (const size of SIZES) {
      const { cipher: ours, written } = cipher(sequence);
      const packet = ours.allocPacket(size);
      randomBytes(size).copy(packet, 5);
      ours.encrypt(packet);
      assert.deepEqual(written[0], sealByTheBook(packet, sequence), `${size} bytes`);
    }
  }
});

Deno.test("what is sealed in parts is opened whole, however the bytes are cut", () => {
  const sent = SIZES.map((size) => randomBytes(size));
  const { cipher: ours, written } = cipher(0xfffffff0);
  for (const message of sent) {
    const middle = message.length >> 1;
    ours.seal([message.subarray(0, middle), message.subarray(middle)], message.length);
  }
  const wire = Buffer.concat(written);
  fc.assert(
    fc.property(fc.array(fc.nat(wire.length), { maxLength: 40 }), (cuts) => {
      const { decipher: theirs, payloads } = decipher(0xfffffff0);
      const at = [0, ...cuts.sort((a, b) => a - b), wire.length];
      for (let i = 1; i < at.length; i++) {
        const piece = Buffer.concat([Buffer.from("ab"), wire.subarray(at[i - 1], at[i])]);
        assert.equal(theirs.decrypt(piece, 2, piece.length), undefined);
      }
      assert.deepEqual(payloads, sent);
    }),
    { numRuns: 60 },
  );
});

Deno.test("one changed bit anywhere is noticed", () => {
  const { cipher: ours, written } = cipher();
  ours.seal([randomBytes(40)], 40);
  const packet = written[0]!;
  for (let bit = 8 * 4; bit < 8 * packet.length; bit++) {
    const changed = Buffer.from(packet);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    const { decipher: theirs, payloads } = decipher();
    assert.throws(() => theirs.decrypt(changed, 0, changed.length), /Invalid MAC/, `bit ${bit}`);
    assert.deepEqual(payloads, []);
  }
  const wrongSequence = decipher(1).decipher;
  assert.throws(
    () => wrongSequence.decrypt(packet, 0, packet.length),
    /Bad packet length|Invalid MAC/,
  );
});

Deno.test("a length that no packet has is refused before anything is waited for", () => {
  const length = Buffer.alloc(4);
  for (const bad of [0, 4, 12, 35_008, 0x7fffffff]) {
    length.writeUInt32BE(bad);
    const { decipher: theirs } = decipher();
    const sealed = chacha20(KEYS.subarray(32), 0, 0, length);
    assert.throws(() => theirs.decrypt(sealed, 0, 4), /Bad packet length/, String(bad));
  }
});

Deno.test("who wants the rest to go elsewhere is told where it begins", () => {
  const { cipher: ours, written } = cipher();
  ours.seal([Buffer.from("first")], 5);
  ours.seal([Buffer.from("second")], 6);
  const wire = Buffer.concat(written);
  const inbound = { seqno: 0, onPayload: () => false as const, decipherKey: KEYS };
  const theirs = new ChaChaPolyDecipher({ inbound });
  assert.equal(theirs.decrypt(wire, 0, wire.length), written[0]!.length);
});

Deno.test("Poly1305 holds at the edges of its arithmetic, in one go and in two", () => {
  const code = assemble([poly1305(), tag()], 1) as BufferSource;
  const wasm = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as unknown as {
    memory: { buffer: ArrayBuffer };
    poly1305(...args: number[]): void;
    tag(...args: number[]): void;
  };
  const bytes = new Uint8Array(wasm.memory.buffer);
  const fills = [0, 1, 0x7f, 0xfa, 0xfb, 0xff];
  for (const keyFill of fills) {
    for (const fill of fills) {
      for (const size of [0, 1, 15, 16, 17, 63, 64, 65, 128, 200, 1024, 1028]) {
        for (const first of [0, 16, 64].filter((first) => first <= size)) {
          const key = new Uint8Array(32).fill(keyFill);
          const message = new Uint8Array(size).fill(fill);
          bytes.set(key);
          bytes.set(message, 1024);
          bytes.fill(0, 192, 192 + SUM);
          wasm.poly1305(0, 1024, first, 192, 256);
          wasm.poly1305(0, 1024 + first, size - first, 192, 256);
          wasm.tag(0, 192, 128);
          const made = Buffer.from(bytes.slice(128, 144));
          assert.deepEqual(made, poly1305InBigInt(key, message), `${keyFill} ${fill} ${size}`);
        }
      }
    }
  }
});

Deno.test("a freed cipher has forgotten its keys and writes nothing", () => {
  const { cipher: ours, written } = cipher();
  ours.free();
  ours.seal([Buffer.from("x")], 1);
  assert.deepEqual(written, []);
});
