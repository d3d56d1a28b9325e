import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { SallyportError } from "../../src/errors.ts";
import { byte, mpint, string, uint32, uint64, WireReader } from "../../src/ssh/wire.ts";

const ours = (error: unknown) => error instanceof SallyportError && error.code === "ssh-protocol";

Deno.test("what is written is read again, and nothing is left", () => {
  fc.assert(
    fc.property(
      fc.nat(255),
      fc.nat(0xffff_ffff),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: "binary", maxLength: 50 }),
      (b, n, big, bytes, text) => {
        const reader = new WireReader(
          Buffer.concat([byte(b), uint32(n), uint64(big), string(bytes), string(text)]),
          "test",
        );
        assert.equal(reader.byte("b"), b);
        assert.equal(reader.uint32("n"), n);
        assert.equal(reader.uint64("big"), big);
        assert.ok(reader.bytes("bytes").equals(bytes));
        assert.equal(reader.text("text"), text);
        reader.end();
      },
    ),
    { numRuns: 300, seed: 1 },
  );
});

Deno.test("an mpint has its shortest form and is never negative", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      const body = new WireReader(mpint(bytes), "test").bytes("mpint");
      const number = (b: Uint8Array) => BigInt("0x0" + Buffer.from(b).toString("hex"));
      assert.equal(number(body), number(bytes));
      if (body.length === 0) return;
      assert.ok((body[0]! & 0x80) === 0);
      assert.ok(body[0] !== 0 || (body[1]! & 0x80) !== 0);
    }),
    { numRuns: 300, seed: 2 },
  );
});

Deno.test("a reader of any bytes gives what is there or an error of ours, never more than is there", () => {
  const reads = fc.array(fc.constantFrom("byte", "uint32", "uint64", "bytes", "text", "end"), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), reads, (bytes, list) => {
      const reader = new WireReader(bytes, "test");
      for (const read of list) {
        const before = reader.position;
        try {
          if (read === "end") reader.end();
          else reader[read as "byte"]("field");
        } catch (error) {
          assert.ok(ours(error), `${error}`);
          return;
        }
        assert.ok(reader.position >= before && reader.position <= bytes.length);
      }
      const left = bytes.length - reader.position;
      assert.equal(reader.rest().length, left);
      assert.ok(reader.atEnd);
    }),
    { numRuns: 1000, seed: 3 },
  );
  assert.throws(() => new WireReader(Buffer.alloc(3), "test", 5).byte("b"), ours);
});
