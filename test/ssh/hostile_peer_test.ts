/** Single things that a peer may try with our SSH, and what they gain: each was found by the fuzz. */
import assert from "node:assert/strict";
import { MESSAGE } from "../../src/ssh/message.ts";
import { byte, string } from "../../src/ssh/wire.ts";
import { within } from "../within.ts";
import { Attack, type AttackOptions } from "./attacker.ts";

const IN_TIME = 5_000;

/** What ends the victim's session, or its attempt at one, after `say`. */
async function endedBy(options: AttackOptions, say: (attack: Attack) => void) {
  await using attack = await Attack.begin(options);
  say(attack);
  const reason = await within(IN_TIME, attack.ended);
  return { reason, heard: [...attack.heard] };
}

const query = (attack: Attack) => attack.send(attack.query());
const none = (attack: Attack) =>
  attack.send(byte(MESSAGE.userauthRequest), ...["edge", "ssh-connection", "none"].map(string));
const service = (attack: Attack) => attack.send(byte(5), string("ssh-userauth"));

for (const [what, ask] of Object.entries({ query, none, service })) {
  Deno.test(`a stranger asks the relay again and again before its login (${what}): eight times in all`, async () => {
    const { reason, heard } = await endedBy({ side: "relay", stage: "keys" }, (attack) => {
      for (let n = 0; n < 1_000; n++) ask(attack);
    });
    assert.equal(reason?.code, "ssh-authentication");
    // To ask for the methods once more is a try.
    const why = what === "none" ? /no certificate was shown/ : /no login within 8 messages/;
    assert.match(reason.message, why);
    assert.ok(heard.length <= 8, `${heard.length} answers`);
    const answers = { query: [MESSAGE.userauthPkOk], none: [MESSAGE.userauthFailure], service: [] };
    assert.deepEqual([...new Set(heard.map(([number]) => number))], answers[what as "query"]);
  });
}

Deno.test("a relay grants a service twice, to have the gateway sign twice", async () => {
  const grant = (attack: Attack) => attack.send(byte(6), string("ssh-userauth"));
  const { reason, heard } = await endedBy({ side: "gateway", stage: "keys" }, (attack) => {
    for (let n = 0; n < 100; n++) grant(attack);
  });
  assert.equal(reason?.code, "ssh-protocol");
  assert.match(reason.message, /granted twice/);
  assert.ok(heard.length <= 1);
});

for (const side of ["relay", "gateway"] as const) {
  Deno.test(`a peer of a ${side} speaks of services after the login`, async () => {
    const number = side === "relay" ? 5 : 6;
    const { reason } = await endedBy({ side, stage: "session" }, (attack) => {
      attack.send(byte(number), string("ssh-userauth"));
    });
    assert.equal(reason?.code, "ssh-protocol");
    assert.match(reason.message, /services after the login/);
  });
}
