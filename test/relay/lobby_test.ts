/** Who must go when too many wait before authentication. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Lobby, type LobbyOptions } from "../../src/relay/lobby.ts";
import { within } from "../within.ts";

const HOST = "127.0.72.10";
/** More than any of these tests takes, ms. */
const LONG = 60_000;

/** A door with a lobby, and who came in and was turned out, by local address. */
async function door(options: Partial<LobbyOptions>) {
  const lobby = new Lobby({ timeout: LONG, ...options });
  const turnedOut: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    lobby.enter(socket, (why) => turnedOut.push(`${socket.remoteAddress}: ${why}`));
  });
  server.listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const guests: Socket[] = [];
  return {
    lobby,
    turnedOut,
    /** Comes from an address; resolves when the lobby has it. */
    async come(localAddress: string): Promise<Socket> {
      const entered = once(server, "connection");
      const socket = connect({ host: HOST, port, localAddress });
      guests.push(socket);
      socket.on("error", () => {});
      await Promise.all([once(socket, "connect"), entered]);
      return socket.resume();
    },
    async [Symbol.asyncDispose]() {
      lobby.clear();
      for (const socket of guests) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

Deno.test("an attacker with one address crowds out nobody but himself", async () => {
  await using at = await door({ most: 8, mostPerSource: 8 });
  const honest = [await at.come("127.0.72.11"), await at.come("127.0.72.12")];
  for (let i = 0; i < 30; i++) await at.come("127.0.72.66");
  assert.equal(at.lobby.size, 8);
  assert.equal(at.turnedOut.length, 24);
  assert.ok(at.turnedOut.every((line) => line.startsWith("127.0.72.66: 8 others wait")));
  const late = await at.come("127.0.72.13");
  assert.deepEqual([...honest, late].map((socket) => socket.destroyed), [false, false, false]);
});

Deno.test("an attacker with one address has no more than its share while there is room", async () => {
  await using at = await door({ most: 100, mostPerSource: 3 });
  const first = await at.come("127.0.72.66");
  const gone = once(first, "close");
  for (let i = 0; i < 3; i++) await at.come("127.0.72.66");
  await within(5_000, gone);
  assert.equal(at.lobby.size, 3);
  assert.match(at.turnedOut[0]!, /3 others came after it from its address/);
});

Deno.test("an attacker with many addresses crowds out those who wait longest", async () => {
  await using at = await door({ most: 4 });
  for (let i = 1; i <= 6; i++) await at.come(`127.0.72.${100 + i}`);
  assert.deepEqual(at.turnedOut.map((line) => line.split(":")[0]), [
    "127.0.72.101",
    "127.0.72.102",
  ]);
});

Deno.test("an attacker with two addresses cannot hide behind the one that waits longest", async () => {
  await using at = await door({ most: 5 });
  const honest = await at.come("127.0.72.11");
  for (let i = 0; i < 5; i++) {
    await at.come("127.0.72.66");
    await at.come("127.0.72.67");
  }
  assert.equal(at.lobby.size, 5);
  assert.equal(honest.destroyed, false);
});

Deno.test("who leaves or closes takes up no room, and a time limit ends the others", async () => {
  await using at = await door({ most: 3, mostPerSource: 2, timeout: 300 });
  const left = await at.come("127.0.72.11");
  left.destroy();
  const silent = await at.come("127.0.72.11");
  await within(5_000, once(silent, "close"));
  assert.equal(at.lobby.size, 0);
  assert.deepEqual(at.turnedOut, ["127.0.72.11: it took longer than 300 ms"]);
});
