/** Single things that a peer may try with our SSH, and what they gain: each was found by the fuzz. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { SallyportError } from "../../src/errors.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import type { GatewaySession } from "../../src/ssh/server.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";
import { within } from "../within.ts";
import { Attack, type AttackOptions } from "./attacker.ts";

const IN_TIME = 5_000;

/** What ends the victim's session, or its attempt at one, after `say`. */
async function endedBy(options: AttackOptions, say: (attack: Attack) => void) {
  await using attack = await Attack.begin(options);
  if (options.stage === "connected") attack.socket.resume();
  say(attack);
  const heardAll = new Promise<void>((resolve) => {
    attack.socket.once("end", resolve).once("close", () => resolve());
  });
  const reason = await within(IN_TIME, attack.ended);
  await within(IN_TIME, heardAll);
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

for (const side of ["relay", "gateway"] as const) {
  Deno.test(`a peer of a ${side} goes on with a key exchange that it has not begun`, async () => {
    const newKeys = Buffer.from("0000000c0a15" + "00".repeat(10), "hex");
    const { reason } = await endedBy({ side, stage: "connected" }, ({ socket }) => {
      socket.write(Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), newKeys]));
    });
    assert.equal(reason?.code, "ssh-protocol");
    assert.match(reason.message, /malformed or comes at the wrong time/);
  });
}

// What a peer says comes into errors, and from there into logs

const LOUD = `\u001b[2J\n2026-11-25T00:00:00Z INFO  relay: all is well\u009b${"x".repeat(20_000)}`;
const TOLD: [string, AttackOptions, (attack: Attack) => void][] = [
  [
    "the reason of a goodbye",
    { side: "gateway", stage: "session" },
    (attack) => attack.send(byte(1), uint32(11), string(LOUD), string("")),
  ],
  [
    "the name of a service",
    { side: "relay", stage: "keys" },
    (attack) => attack.send(byte(5), string(LOUD)),
  ],
  [
    "the service of a login",
    { side: "relay", stage: "keys" },
    (attack) => attack.send(byte(50), ...["edge", LOUD, "none"].map(string)),
  ],
  [
    "the methods of a refusal",
    { side: "gateway", stage: "keys" },
    (attack) => attack.send(byte(51), string(LOUD), byte(0)),
  ],
];

function isPlain({ message }: SallyportError): void {
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(message, /[\u0000-\u001f\u007f-\u009f]/);
  assert.ok(message.length < 600, `${message.length} characters`);
}

for (const [what, options, say] of TOLD) {
  Deno.test(`${what} forges no line, commands no terminal and fills no log`, async () => {
    const { reason } = await endedBy(options, say);
    assert.ok(reason instanceof SallyportError);
    isPlain(reason);
    assert.match(reason.message, / 2026-11-25T00:00:00Z INFO/);
  });
}

Deno.test("a login method, an algorithm and the reason for no channel fill no log either", async () => {
  const told: SallyportError[] = [];
  const victim = { onRefused: (error: SallyportError) => told.push(error) };
  await endedBy({ side: "relay", stage: "keys", victim }, (attack) => {
    const login = (...rest: Uint8Array[]) =>
      attack.send(byte(50), ...["edge", "ssh-connection"].map(string), ...rest);
    login(string(LOUD));
    for (let n = 0; n < 2; n++) {
      login(string("publickey"), byte(0), string(LOUD), string("key"));
    }
  });
  await using attack = await Attack.begin({ side: "relay", stage: "session" });
  const opening = (await attack.session as GatewaySession).open();
  attack.send(byte(92), uint32(0), uint32(1), string(LOUD), string(""));
  await assert.rejects(
    within(IN_TIME, opening),
    (error: SallyportError) => told.push(error) === 4,
  );
  told.forEach(isPlain);
});
