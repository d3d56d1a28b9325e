/** A peer that asks without end: what it is owed must not pile up in our memory. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { MESSAGE } from "../../src/ssh/message.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";
import { within } from "../within.ts";
import { Attack, type Side } from "./attacker.ts";

const MIB = 1024 * 1024;
const IN_TIME = 10_000;

/** Asks again and again, as fast as the victim reads, until that has enough. Gives the most that was owed. */
async function flood(attack: Attack, ask: () => void, owed: () => number): Promise<number> {
  let over = false;
  let most = 0;
  const ended = attack.ended.then(() => over = true);
  while (!over) {
    for (let n = 0; n < 1_000; n++) ask();
    if (attack.socket.writableNeedDrain) await Promise.race([once(attack.socket, "drain"), ended]);
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, owed());
  }
  return most;
}

for (const side of ["relay", "gateway"] satisfies Side[]) {
  Deno.test(`a ${side} is asked and asked by a peer that never reads an answer`, async () => {
    await using attack = await Attack.begin({ side, stage: "session" });
    attack.socket.pause();
    const ask = () =>
      attack.send(byte(MESSAGE.channelOpen), string("session"), ...[0, 0, 0].map(uint32));
    const owed = flood(attack, ask, () => attack.theirs.writableLength);
    assert.ok(await within(IN_TIME, owed) < 6 * MIB);
    const reason = await attack.ended;
    assert.equal(reason?.code, "ssh-protocol");
    assert.match(reason.message, /does not read/);
    await within(IN_TIME, attack.close());
  });

  Deno.test(`a ${side} is asked and asked by a peer that never finishes a key exchange`, async () => {
    const rekeyBytes = 100_000;
    await using attack = await Attack.begin({ side, stage: "session", victim: { rekeyBytes } });
    // From here on it does not even hear that new keys are due.
    attack.deaf = true;
    let asked = 0;
    const ask = () => {
      asked++;
      attack.send(byte(MESSAGE.globalRequest), string("x"), byte(1));
    };
    await within(IN_TIME, flood(attack, ask, () => 0));
    const reason = await attack.ended;
    assert.equal(reason?.code, "ssh-protocol");
    assert.match(reason.message, /messages wait for the end of a key exchange/);
    assert.ok(asked < 100_000, `${asked} answers waited`);
    await within(IN_TIME, attack.close());
  });
}
