/** Much at once, and half-closed streams, through every mix of our parts and the lab's. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { requirement } from "../requirements.ts";
import { type Kind, labPlatform, startSystem } from "./lab_system.ts";
import { receive, type Seen, send } from "../hashed_bytes.ts";
import { openPort, startTarget } from "./traffic.ts";

const HOST = "127.0.40.12";
const MIB = 1024 * 1024;
const MIXES: { name: string; relay: Kind; gateway: Kind }[] = [
  { name: "our gateway and relay", relay: "ours", gateway: "ours" },
  { name: "our gateway and the lab's relay", relay: "lab", gateway: "ours" },
  { name: "the lab's gateway and our relay", relay: "ours", gateway: "lab" },
];

for (const { name, relay, gateway } of MIXES) {
  const start = () =>
    startSystem({ platform: labPlatform, relay, gateway, keys: "ed25519", host: HOST });

  Deno.test({
    name: `64 MiB go both ways at once through ${name}, byte for byte`,
    ...requirement("go"),
    async fn() {
      await using system = await start();
      const there = Promise.withResolvers<{ sent: Seen; received: Seen }>();
      await using target = await startTarget(HOST, (socket) => {
        const received = receive(socket);
        // The lab's relay and gateway close both ways when the target ends, so that must come last.
        const both = Promise.all([send(socket, 64 * MIB, "back", { first: received }), received]);
        both.then(([sent, received]) => there.resolve({ sent, received }), there.reject);
      });
      await using port = await openPort(() => system.platform.grant(HOST, target.port));
      const socket = await port.dial();
      const [sent, received] = await Promise.all([send(socket, 64 * MIB, "in"), receive(socket)]);
      assert.deepEqual(received, (await there.promise).sent);
      assert.deepEqual((await there.promise).received, sent);
    },
  });

  Deno.test({
    name: `50 connections at once through ${name}, byte for byte`,
    ...requirement("go"),
    async fn() {
      await using system = await start();
      await using target = await startTarget(HOST, (socket) => socket.pipe(socket));
      await using port = await openPort(() => system.platform.grant(HOST, target.port));
      const one = async (at: number) => {
        const socket = await port.dial();
        const size = 256 * 1024 + 1000 * at;
        const [sent, received] = await Promise.all([send(socket, size, `${at}`), receive(socket)]);
        assert.deepEqual(received, sent);
        await once(socket, "close");
      };
      await Promise.all(Array.from({ length: 50 }, (_, at) => one(at)));
    },
  });

  // The lab's gateway closes both ways at the first end, as the real one does.
  if (gateway === "lab") continue;
  Deno.test({
    name: `a half-closed stream is answered through ${name}, 20 times of 20`,
    ...requirement("go"),
    async fn() {
      await using system = await start();
      for (let round = 1; round <= 20; round++) {
        const printed = await system.bench("half", "-mb", "1");
        assert.match(printed, /^half sent=1048576 answer="1048576\\n" err=<nil>$/m, `${round}`);
      }
    },
  });
}
