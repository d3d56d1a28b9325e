import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { PassThrough } from "node:stream";
import * as fc from "fast-check";
import { readFirstLine } from "../../src/forward/first_line.ts";
import { SallyportError } from "../../src/errors.ts";

const LIMIT = 64;
const signal = new AbortController().signal;
const read = (stream: PassThrough) =>
  readFirstLine(stream, { limit: LIMIT, timeout: 5_000, signal });

/** What is left on a stream that has ended. */
async function rest(stream: PassThrough): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

Deno.test("in whatever pieces a stream comes, its line is told from the rest, or it is refused", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom("CONFIG", "\n", "\r\n", "CONFIG verify=false\n", "\u0000").map((text) =>
      Buffer.from(text)
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const whole = Buffer.concat(pieces);
      const end = whole.indexOf(0x0a);
      const stream = new PassThrough();
      const line = read(stream);
      for (const bytes of pieces) stream.write(Buffer.from(bytes));
      stream.end();
      if (whole.length === 0) return void assert.equal(await line, undefined);
      if (end < 0 || end >= LIMIT) {
        await assert.rejects(line, (error) => {
          return error instanceof SallyportError && error.code === "route-malformed";
        });
        return void stream.destroy();
      }
      assert.equal(await line, whole.toString("latin1", 0, end).replace(/\r$/, ""));
      assert.ok(stream.isPaused(), "what follows would be lost");
      assert.deepEqual(await rest(stream), whole.subarray(end + 1));
    }),
    { numRuns: 300, seed: 1 },
  );
});

Deno.test("a line that does not come, or stops, is given up", async () => {
  const silent = new PassThrough();
  const options = { limit: LIMIT, timeout: 20, signal };
  await assert.rejects(readFirstLine(silent, options), { code: "timeout" });
  silent.write("CONF");
  await assert.rejects(readFirstLine(silent, options), { code: "timeout" });
  const broken = new PassThrough();
  const line = read(broken);
  broken.destroy(new Error("cut"));
  await assert.rejects(line);
  await assert.rejects(read(broken), { code: "ssh-closed" });
  const stop = AbortSignal.abort(new Error("stop"));
  await assert.rejects(readFirstLine(new PassThrough(), { ...options, signal: stop }), {
    message: "stop",
  });
});
