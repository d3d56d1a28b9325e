/**
 * What moving bytes costs in memory. Times differ from machine to machine; what is allocated for a packet
 * does not, and it is what the hot path's speed and size hang on (docs/performance.md).
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { getHeapStatistics } from "node:v8";
import { ChaChaPolyCipher, ChaChaPolyDecipher } from "../../src/ssh/cipher/chacha_poly.ts";
import { input } from "../../src/ssh/cipher/engine.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { pair } from "./pair.ts";

const KIB = 1024;

/** Bytes that V8's heap has given out, buffers' own memory not counted. */
function allocated(): number {
  return (getHeapStatistics() as unknown as { total_allocated_bytes: number })
    .total_allocated_bytes;
}

/** Bytes of buffers that are alive or not collected yet. */
function buffers(): number {
  return Deno.memoryUsage().external;
}

Deno.test("sealing and opening 32 KiB makes a few small objects and no buffer", () => {
  const keys = randomBytes(64);
  let at = 0;
  const cipher = new ChaChaPolyCipher({
    outbound: {
      seqno: 0,
      cipherKey: keys,
      onWrite: (data) => {
        input.set(data);
        at = data.length;
      },
    },
  });
  let opened = 0;
  const decipher = new ChaChaPolyDecipher({
    inbound: {
      seqno: 0,
      decipherKey: keys,
      onPayload: (payload) => {
        opened += payload.length;
        return undefined;
      },
    },
  });
  const head = Buffer.alloc(9, 94);
  const body = randomBytes(32 * KIB - 9);
  const packets = (count: number) => {
    for (let i = 0; i < count; i++) {
      cipher.seal([head, body], 32 * KIB);
      decipher.decrypt(input, 0, at);
    }
  };
  packets(2_000);
  const heapBefore = allocated();
  packets(1_000);
  const perPacket = (allocated() - heapBefore) / 1_000;
  const buffersBefore = buffers();
  let most = 0;
  for (let i = 0; i < 100; i++) {
    packets(10);
    most = Math.max(most, buffers() - buffersBefore);
  }
  assert.equal(opened, 4_000 * 32 * KIB);
  assert.ok(perPacket < 2.5 * KIB, `${perPacket} bytes of heap a packet`);
  assert.ok(most < 512 * KIB, `${most} bytes of buffers`);
});

Deno.test("a stream through a session is not kept in buffers, and costs little heap a packet", async () => {
  const accepted = Promise.withResolvers<Channel>();
  const { server, client, close } = await pair({ onChannel: accepted.resolve });
  await client;
  const sender = await (await server).open();
  const receiver = await accepted.promise;
  let received = 0;
  const take = (data: Uint8Array) => void (received += data.length);
  receiver.on("data", take);
  receiver.takeDirectly(take);
  const block = randomBytes(32 * KIB);
  const send = async (packets: number) => {
    const until = received + packets * block.length;
    for (let i = 0; i < packets; i++) {
      if (!sender.write(block)) await once(sender, "drain");
    }
    while (received < until) await new Promise((resolve) => setImmediate(resolve));
  };
  await send(1_000);
  const [heapBefore, buffersBefore] = [allocated(), buffers()];
  let most = 0;
  for (let i = 0; i < 20; i++) {
    await send(100);
    most = Math.max(most, buffers() - buffersBefore);
  }
  const perPacket = (allocated() - heapBefore) / 2_000;
  // 64 MiB have passed, and both ends are in this process.
  assert.ok(most < 2 * KIB * KIB, `${most} bytes of buffers`);
  assert.ok(perPacket < 24 * KIB, `${perPacket} bytes of heap a packet`);
  sender.destroy();
  receiver.destroy();
  await close();
});
