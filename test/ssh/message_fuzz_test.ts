/**
 * A relay and a gateway whose peer says anything, before and after it has proved who it is. Whatever
 * comes, the session goes on or ends with an error of ours, in time, and nothing of it stays open.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { SallyportError } from "../../src/errors.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";
import { fuzz } from "../fuzz.ts";
import { within } from "../within.ts";
import { Attack, type Side, type Stage } from "./attacker.ts";

const SIDES: Side[] = ["relay", "gateway"];
/** Time for a victim to answer, or to end the session by itself, ms. */
const IN_TIME = 5_000;
const CODES = /^(ssh-[a-z]+|certificate-[a-z-]+|key-malformed|host-key-raw|timeout)$/;
/** A peer that leaves the other side waiting is given up after this, ms; in earnest it is 20 s. */
const PATIENCE = { connected: 100, session: 400 };

function isOurs(error: unknown): void {
  assert.ok(error instanceof SallyportError, error instanceof Error ? error.stack : String(error));
  assert.match(error.code, CODES, error.message);
  assert.ok(error.message.length < 600, "a peer makes a message grow");
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(error.message, /[\u0000-\u001f\u007f-\u009f]/, "a peer forges a line");
  const { cause } = error;
  assert.ok(!(cause instanceof TypeError || cause instanceof RangeError), "it fell over");
}

/** The session is asked for a sign of life, then it is cut off: what must be true of it. */
async function survives(attack: Attack): Promise<"goes on" | "has ended"> {
  const alive = attack.session.then((session) => session.ping());
  const over = attack.ended.then(() => "has ended" as const);
  const outcome = await within(
    IN_TIME,
    Promise.race([alive.then(() => "goes on" as const, () => over), over]),
  );
  if (outcome === "goes on") attack.socket.destroy();
  isOurs(await within(IN_TIME, attack.ended));
  await within(IN_TIME, attack.released());
  const session = await attack.session.catch(() => undefined);
  assert.equal(session?.channels ?? 0, 0);
  for (const channel of attack.channels) {
    channel.resume();
    if (!channel.closed) {
      await within(IN_TIME, new Promise((resolve) => channel.once("close", resolve)));
    }
  }
  return outcome;
}

// Before encryption

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const banner = fc.oneof(
  { weight: 4, arbitrary: fc.constant("SSH-2.0-fuzz\r\n") },
  fc.constantFrom(
    ...["SSH-2.0-", "SSH-1.99-x\r\n", "SSH-2.0-x\n", "SSH-9.9-x\r\n", "GET / HTTP/1.1\r\n\r\n"],
    ...[`SSH-2.0-${"x".repeat(300)}\r\n`, "x".repeat(10_000), `${"x".repeat(9_000)}\r\n`],
    ...["\r\n".repeat(1_100), "\n", "\r", "\0".repeat(100), "SSH-2.0-\u00ff\u0000\r\n"],
  ),
  fc.string({ unit: "binary", maxLength: 300 }),
).map((text) => Buffer.from(text, "latin1"));

/** A packet as it is before there are keys (RFC 4253 §6), with a length that may be a lie. */
const packet = fc.record({
  number: fc.oneof(fc.constantFrom(1, 2, 4, 5, 20, 21, 30, 31, 50, 52, 90), fc.nat(255)),
  body: bytes(200),
  length: fc.oneof(
    { weight: 6, arbitrary: fc.constant(undefined) },
    fc.constantFrom(0, 1, 8, 12, 34_996, 35_004, 0x7fff_fffc, 0xffff_fffc),
  ),
  padding: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, fc.nat(255)),
}).map(({ number, body, length, padding }) => {
  const short = 8 - (6 + body.length) % 8;
  const fill = short < 4 ? short + 8 : short;
  const payload = [byte(number), body, Buffer.alloc(fill)];
  const counted = 2 + body.length + fill;
  return Buffer.concat([uint32(length ?? counted), byte(padding ?? fill), ...payload]);
});

/** What a peer says in a real key exchange, with some bytes changed. */
const kexInit = fc.record({
  lists: fc.array(
    fc.oneof(
      fc.constantFrom(
        ...["curve25519-sha256", "ssh-ed25519-cert-v01@openssh.com", "aes128-ctr", "none", ""],
        ...["chacha20-poly1305@openssh.com", "hmac-sha2-256", "kex-strict-c-v00@openssh.com"],
        ...["ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", ",,", "x".repeat(3_000)],
      ),
      fc.string({ maxLength: 40 }),
    ),
    { minLength: 8, maxLength: 11 },
  ),
  follows: fc.nat(255),
}).map(({ lists, follows }) =>
  Buffer.concat([byte(20), Buffer.alloc(16), ...lists.map(string), byte(follows), uint32(0)])
);

/** Says something to a victim that has just been connected to, and leaves it at that. */
async function tell(side: Side, said: Buffer, ends: boolean): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE.connected);
  await using attack = await Attack.begin({ side, stage: "connected", victim: { signal } });
  attack.socket.resume();
  if (ends) attack.socket.end(said);
  else attack.socket.write(said);
  assert.equal(await survives(attack), "has ended");
}

for (const side of SIDES) {
  Deno.test(`a ${side} is sent anything before there are keys`, async () => {
    const said = fc.tuple(banner, fc.array(fc.oneof(packet, bytes(200)), { maxLength: 6 }))
      .map(([first, rest]) => Buffer.concat([first, ...rest]));
    const property = fc.asyncProperty(said, fc.boolean(), (all, ends) => tell(side, all, ends));
    await fc.assert(property, fuzz(60, 1));
  });

  Deno.test(`a ${side} is sent what a login was recorded as, cut short or with other bytes in it`, async () => {
    const recording = await recorded(side);
    const last = recording.length - 1;
    const changes = fc.array(fc.tuple(fc.nat(last), fc.nat(255)), { maxLength: 3 });
    const until = fc.oneof(fc.constant(last), fc.nat(last));
    await fc.assert(
      fc.asyncProperty(changes, until, fc.boolean(), (list, end, ends) => {
        const said = Buffer.from(recording.subarray(0, end + 1));
        for (const [at, value] of list) if (at <= end) said[at] = value;
        return tell(side, said, ends);
      }),
      fuzz(50, 3),
    );
  });
}

/** All that an honest peer writes until it is logged in. */
async function recorded(side: Side): Promise<Buffer> {
  await using attack = await Attack.begin({ side, stage: "session" });
  return Buffer.concat(attack.wrote);
}

// Messages, from the key exchange on

type Message = (attack: Attack) => void;

const message = (...parts: Uint8Array[]): Message => (attack) => attack.send(...parts);
const small = fc.oneof(
  fc.nat(3),
  fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 32_768, 32_769),
);
const word = fc.oneof(
  fc.constantFrom(...["ssh-userauth", "ssh-connection", "publickey", "none", "password"]),
  fc.constantFrom(...["direct-tcpip", "session", "keepalive@openssh.com", "", "\u0000\u001b[2J"]),
  fc.constantFrom("x".repeat(30_000), "\u00ff\n".repeat(2_000)),
  fc.string({ maxLength: 20 }),
);
const field = fc.oneof(
  small.map(uint32),
  word.map(string),
  bytes(40).map(string),
  fc.nat(255).map(byte),
);

/** Any number, anything behind it. */
const anything = fc.tuple(fc.nat(255), fc.oneof(bytes(80), bytes(2_000)))
  .map(([number, body]) => message(byte(number), body));
/** A number that means something, and fields as such messages have them. */
const fields = fc.tuple(
  fc.constantFrom(...Object.values(MESSAGE), ...[1, 2, 3, 4, 5, 6, 7, 21, 30, 31]),
  fc.array(field, { maxLength: 6 }),
).map(([number, parts]) => message(byte(number), ...parts));
/** What only the one who keeps to the order may say. */
const ofChannel = fc.oneof(
  fc.tuple(
    fc.constantFrom(MESSAGE.channelData, MESSAGE.channelExtendedData),
    small,
    fc.constantFrom(0, 1, 1_000, 32_768, 32_769, 34_000),
  ).map(([number, id, size]) => message(byte(number), uint32(id), string(Buffer.alloc(size)))),
  fc.tuple(
    fc.constantFrom(MESSAGE.channelEof, MESSAGE.channelClose, MESSAGE.channelSuccess),
    small,
  ).map(([number, id]) => message(byte(number), uint32(id))),
  fc.tuple(small, small)
    .map(([id, by]) => message(byte(MESSAGE.channelWindowAdjust), uint32(id), uint32(by))),
  fc.tuple(small, word, fc.nat(2)).map(([id, type, reply]) =>
    message(byte(MESSAGE.channelRequest), uint32(id), string(type), byte(reply))
  ),
  fc.tuple(word, fc.nat(2))
    .map(([type, reply]) => message(byte(MESSAGE.globalRequest), string(type), byte(reply))),
  fc.tuple(fc.constantFrom("direct-tcpip", "session", ""), small, small, small)
    .map(([type, ...numbers]) =>
      message(byte(MESSAGE.channelOpen), string(type), ...numbers.map(uint32))
    ),
  fc.tuple(small, small, small, small)
    .map((numbers) => message(byte(MESSAGE.channelOpenConfirmation), ...numbers.map(uint32))),
);
/** A login that is nearly right. */
const nearlyLogin = fc.tuple(
  fc.constantFrom("login" as const, "query" as const),
  fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(255)), { maxLength: 3 }),
  fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.double({ min: 0, max: 1, noNaN: true })),
).map(([kind, changes, part]): Message => (attack) => {
  const request = Buffer.from(attack[kind]());
  for (const [at, value] of changes) request[1 + Math.floor(at * (request.length - 1))] = value;
  attack.send(request.subarray(0, Math.max(1, Math.floor(part * request.length))));
});
const keys: fc.Arbitrary<Message> = fc.oneof(
  fc.constant((attack: Attack) => attack.rekey()),
  kexInit.map((init) => message(init)),
);
/** What only a transport reads, and may be said at any time. */
const aside = fc.oneof(
  fc.tuple(fc.constantFrom(2, 4, 7), bytes(40))
    .map(([number, body]) => message(byte(number), byte(0), string(body), string(""))),
  fc.nat(1_000).map((sequence) => message(byte(3), uint32(sequence))),
);
/** Words that come into errors. */
const loud = fc.tuple(word, word).map(([one, other]) => [
  message(byte(1), uint32(2), string(one), string(other)),
  message(byte(5), string(one)),
  message(byte(50), string(one), string("ssh-connection"), string(other)),
  message(byte(50), string(one), string(other), string("none")),
  message(byte(51), string(one), byte(0)),
  message(byte(92), uint32(0), uint32(1), string(one), string(other)),
]).chain((messages) => fc.constantFrom(...messages));
const storm = fc.tuple(fc.oneof(fields, ofChannel, aside), fc.integer({ min: 2, max: 300 }))
  .map(([once, times]): Message => (attack) => {
    for (let time = 0; time < times; time++) once(attack);
  });

const CASES: { stage: Stage; messages: fc.Arbitrary<Message>; runs: number }[] = [
  {
    stage: "keys",
    messages: fc.oneof(
      ...[{ weight: 4, arbitrary: nearlyLogin }, { weight: 4, arbitrary: aside }],
      ...[anything, fields, ofChannel, keys, storm, loud],
    ),
    runs: 80,
  },
  {
    stage: "session",
    messages: fc.oneof(
      ...[{ weight: 6, arbitrary: ofChannel }, { weight: 2, arbitrary: aside }],
      ...[anything, fields, nearlyLogin, keys, storm, loud],
    ),
    runs: 120,
  },
];

/** Logs in after all, if it still may. */
function finishLogin(attack: Attack, side: Side): void {
  if (side === "gateway") return attack.send(byte(MESSAGE.userauthSuccess));
  attack.send(byte(5), string("ssh-userauth"));
  attack.send(attack.login());
}

for (const side of SIDES) {
  for (const { stage, messages, runs } of CASES) {
    const when = stage === "keys" ? "before the login" : "in a session";
    Deno.test(`a ${side} is sent anything ${when}`, async () => {
      const outcomes = { "goes on": 0, "has ended": 0 };
      await fc.assert(
        fc.asyncProperty(
          fc.array(messages, { minLength: 1, maxLength: 5 }),
          async (list) => {
            const keepalive = { interval: PATIENCE.session / 4, timeout: PATIENCE.session };
            const victim = { keepalive, maxChannels: 8, signal: AbortSignal.timeout(IN_TIME / 2) };
            await using attack = await Attack.begin({ side, stage, victim });
            if (stage === "session") await attack.openChannels(2);
            for (const say of list) say(attack);
            if (stage === "keys") finishLogin(attack, side);
            outcomes[await survives(attack)]++;
          },
        ),
        fuzz(runs, 2),
      );
      // Without both, most of what was said never came to its reader.
      for (const count of Object.values(outcomes)) assert.ok(count > 0, JSON.stringify(outcomes));
    });
  }
}
