import assert from "node:assert/strict";
import { handlers } from "../../src/forward/table.ts";
import { context, route, streamPair, text } from "./streams.ts";

Deno.test("ping answers PONG and closes, 10 times of 10", async () => {
  for (let i = 0; i < 10; i++) {
    await using pair = await streamPair();
    const result = handlers.ping(pair.server, route("ping"), context());
    assert.equal(await text(pair.client), "PONG\n");
    pair.client.end();
    assert.deepEqual(await result, { bytesIn: 0, bytesOut: 5 });
    assert.ok(pair.server.destroyed);
  }
});

Deno.test("health answers one line of JSON and closes", async () => {
  await using pair = await streamPair();
  const result = handlers.health(pair.server, route("health"), context());
  assert.equal(await text(pair.client), '{"status":"ok","heartbeatTTL":180}\n');
  pair.client.end();
  await result;
});

Deno.test("a client that talks to ping instead of listening still gets its answer", async () => {
  await using pair = await streamPair();
  pair.client.write("x".repeat(100_000));
  const answer = text(pair.client);
  const result = handlers.ping(pair.server, route("ping"), context());
  assert.equal(await answer, "PONG\n");
  pair.client.end();
  assert.equal((await result).bytesIn, 100_000);
});

Deno.test("a client that never closes does not hold the gateway's stream", async () => {
  await using pair = await streamPair();
  const answer = text(pair.client);
  await handlers.ping(pair.server, route("ping"), context());
  assert.equal(await answer, "PONG\n");
  assert.ok(pair.server.destroyed);
});

Deno.test("an aborted gateway answers no ping", async () => {
  await using pair = await streamPair();
  const signal = AbortSignal.abort(new Error("stopping"));
  await assert.rejects(handlers.ping(pair.server, route("ping"), context({ signal })), /stopping/);
  assert.ok(pair.server.destroyed);
});
