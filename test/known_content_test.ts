/** The search that other tests rely on to find nothing: it finds what is there. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { KnownContent, WINDOW } from "./known_content.ts";

Deno.test("any window of the content is found at any offset, and one byte less is not", () => {
  const content = new KnownContent(10_000);
  const { length } = content.bytes;
  fc.assert(
    fc.property(fc.nat(length - WINDOW), fc.nat(3_000), fc.nat(3_000), (from, before, after) => {
      // What stands around it must not happen to go on as the content does.
      const other = (at: number) => (content.bytes[at] ?? 0) ^ 0xff;
      const hay = (part: Buffer) =>
        Buffer.concat([
          Buffer.alloc(before, other(from - 1)),
          part,
          Buffer.alloc(after, other(from + WINDOW)),
        ]);
      const window = Buffer.from(content.bytes.subarray(from, from + WINDOW));
      assert.equal(content.findIn(hay(window)), before);
      window[WINDOW - 1]! ^= 1;
      assert.equal(content.findIn(hay(window)), -1);
    }),
    { numRuns: 300, seed: 1 },
  );
  for (const size of [0, 1, WINDOW - 1]) assert.equal(content.findIn(randomBytes(size)), -1);
});
