/** New keys in the middle of a session: by whom, when, at what cost, and what a hostile peer makes of it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type KeyObject, sign } from "node:crypto";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import { SallyportError } from "../../src/errors.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { ExchangeBudget } from "../../src/ssh/exchange_budget.ts";
import { byte, string } from "../../src/ssh/wire.ts";
import { receive, send } from "../hashed_bytes.ts";
import { until } from "../virtual_clock.ts";
import { within } from "../within.ts";
import { meaningless, NUMBER } from "./meddler.ts";
import { connectTo, newKey, type Pair, pair, type PairOptions } from "./pair.ts";
import { captureProtocols, type RawOptions, type RawSession, rawSession } from "./raw_session.ts";

const MIB = 1024 * 1024;
const HOUR = 3_600_000;
const QUIET = { interval: HOUR, timeout: HOUR };

const echo = (channel: Channel) => void channel.pipe(channel);
const says = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SallyportError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

async function withPair(options: PairOptions, run: (p: Pair) => Promise<void>): Promise<void> {
  const p = await pair(options);
  try {
    await within(20_000, run(p));
  } finally {
    await p.close();
  }
}

/** A relay of ours, and a gateway of no manners that is logged in there. */
async function withRaw(
  options: PairOptions,
  run: (raw: RawSession, p: Pair) => Promise<void>,
  more: Partial<RawOptions> = {},
): Promise<void> {
  const p = await pair({ connect: () => new Promise(() => {}), ...options });
  const raw = rawSession(await connectTo(p.port), {
    ...p.credentials,
    keepalive: QUIET,
    ...more,
  });
  try {
    await within(
      20_000,
      (async () => {
        assert.equal(await raw.login, true);
        await run(raw, p);
      })(),
    );
  } finally {
    raw.session.close();
    const relay = await p.server;
    relay.close();
    await relay.closed;
    await p.closeServer();
  }
}

async function carry(channel: Channel, size: number, seed: string): Promise<void> {
  const [sent, got] = await Promise.all([send(channel, size, seed), receive(channel)]);
  assert.deepEqual(got, sent);
}

for (const who of ["the gateway", "the relay", "both at once"]) {
  Deno.test(`${who} may ask for new keys again and again under load, and no byte is lost`, () =>
    withPair({ onChannel: echo }, async (p) => {
      const [relay, gateway] = await Promise.all([p.server, p.client]);
      const exchanges = new Set<unknown>();
      let over = false;
      const carrying = Promise.all(
        ["a", "b", "c"].map(async (seed) => carry(await relay.open(), 8 * MIB, seed)),
      ).finally(() => over = true);
      while (!over) {
        if (who !== "the relay") gateway.rekey();
        if (who !== "the gateway") relay.rekey();
        await Promise.all([relay.ping(), gateway.ping()]);
        exchanges.add(relay.algorithms);
      }
      await carrying;
      assert.ok(exchanges.size > 3, `${exchanges.size} exchanges`);
    }));
}

Deno.test("the session's identifier, which the login is bound to, stays the same with all keys", () =>
  withRaw({}, async (raw, p) => {
    const relay = await p.server;
    const before = Buffer.from(raw.session.sessionId);
    for (const side of [raw.session, relay, raw.session]) {
      side.rekey();
      await raw.session.ping();
      assert.deepEqual(raw.session.sessionId, before);
    }
  }));

for (const side of ["client", "server"] as const) {
  Deno.test(`keys are renewed by the ${side} after a time, even if little was sent`, () =>
    withPair({
      [side]: { rekeying: { after: 40 }, keepalive: { interval: 20, timeout: 5000 } },
    }, async (p) => {
      const relay = await p.server;
      const seen = new Set<unknown>([relay.algorithms]);
      await until(() => seen.add(relay.algorithms).size > 2, "three key exchanges");
      assert.ok(await relay.ping() > 0);
    }));
}

Deno.test("a peer asks for new keys and never finishes: the session ends in bounded time", async (t) => {
  const timeout = 150;
  await t.step(
    "the gateway, silent from then on",
    () =>
      withRaw({ server: { rekeying: { timeout }, keepalive: QUIET } }, async (raw, p) => {
        const relay = await p.server;
        raw.session.rekey();
        await new Promise((resolve) => setImmediate(resolve));
        raw.mute();
        const reason = await relay.closed;
        says("ssh-protocol", /key exchange was not finished within 150 ms/)(reason);
      }),
  );
  await t.step(
    "the gateway, sending what means nothing for ever",
    () =>
      withRaw({ server: { rekeying: { timeout }, keepalive: QUIET } }, async (raw, p) => {
        const relay = await p.server;
        raw.deafen();
        raw.session.rekey();
        const timer = setInterval(() => raw.sendNow(meaningless(NUMBER.ignore)), 5);
        const reason = await relay.closed;
        clearInterval(timer);
        says("ssh-protocol", /not finished within 150 ms/)(reason);
      }),
  );
  await t.step(
    "the gateway, which does not answer the relay's own wish",
    () =>
      withRaw({ server: { rekeying: { timeout }, keepalive: QUIET } }, async (raw, p) => {
        const relay = await p.server;
        raw.deafen();
        relay.rekey();
        const timer = setInterval(() => raw.session.send(byte(80), string("x"), byte(0)), 5);
        const reason = await relay.closed;
        clearInterval(timer);
        says("ssh-protocol", /not finished within 150 ms/)(reason);
      }),
  );
});

Deno.test("a peer answers no KEXINIT and asks for what must be answered: what waits is bounded", () =>
  withRaw({ server: { keepalive: QUIET } }, async (raw, p) => {
    const relay = await p.server;
    raw.deafen();
    relay.rekey();
    for (let i = 0; i < 20_000; i++) raw.session.send(byte(80), string("x"), byte(1));
    says("ssh-protocol", /\d+ messages wait for the end of a key exchange/)(await relay.closed);
  }));

Deno.test("a peer asks and does not read the answers: what it does not read is bounded", () =>
  withRaw({ server: { keepalive: QUIET } }, async (raw, p) => {
    const relay = await p.server;
    const { socket } = raw;
    socket.pause();
    const question = [byte(80), string("x".repeat(10)), byte(1)];
    let over = false;
    relay.closed.then(() => over = true);
    while (!over) {
      for (let i = 0; i < 5000; i++) raw.session.send(...question);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    says("ssh-protocol", /does not read the answers/)(await relay.closed);
    socket.resume();
  }, { onMessage: () => {} }));

Deno.test("a peer asks for new keys in a tight loop: it is ended, and others go on meanwhile", () =>
  withRaw({
    server: { rekeying: { allowance: { burst: 100, perSecond: 1 } } },
  }, async (raw, p) => {
    const relay = await p.server;
    let exchanges = 0;
    const onReady = raw.protocol._onHandshakeComplete;
    raw.protocol._onHandshakeComplete = (...given: unknown[]) => {
      onReady(...given);
      exchanges++;
      setImmediate(() => raw.session.rekey());
    };
    raw.session.rekey();
    await withPair({ onChannel: echo }, async (other) => {
      const channel = await (await other.server).open();
      await carry(channel, 8 * MIB, "other");
    });
    says("ssh-protocol", /asks for new keys again and again/)(await relay.closed);
    assert.ok(exchanges > 3, `${exchanges} exchanges were borne`);
  }));

Deno.test("in later exchanges IGNORE, DEBUG and UNIMPLEMENTED may come, as RFC 4253 says, and nothing else", async (t) => {
  for (
    const [number, borne] of [[2, true], [3, true], [4, true], [5, false], [80, false]] as const
  ) {
    await t.step(`message ${number}`, () =>
      withRaw({}, async (raw, p) => {
        const relay = await p.server;
        raw.session.rekey();
        raw.sendNow(
          number === 80 ? Buffer.concat([byte(80), string("x"), byte(0)]) : meaningless(number),
        );
        if (borne) return void assert.ok(await raw.session.ping() > 0);
        says("ssh-protocol", new RegExp(`unexpected packet type ${number}`))(await relay.closed);
      }));
  }
});

// The host in later exchanges

interface HostChange {
  what: string;
  key: "same" | "other";
  authority: "same" | "other";
  validBefore?: Date;
  outcome?: RegExp;
}

const HOST_CHANGES: HostChange[] = [
  { what: "the same key and a newer certificate", key: "same", authority: "same" },
  {
    what: "another key with a certificate as good as the first",
    key: "other",
    authority: "same",
    outcome: /host-key-changed/,
  },
  {
    what: "the same key and a certificate of another authority",
    key: "same",
    authority: "other",
    outcome: /certificate-authority/,
  },
  {
    what: "the same key and a certificate that has expired",
    key: "same",
    authority: "same",
    validBefore: new Date(Date.now() - HOUR / 2),
    outcome: /certificate-validity/,
  },
];

for (const { what, key, authority, validBefore, outcome } of HOST_CHANGES) {
  Deno.test(`a relay shows ${what} in a later key exchange`, async () => {
    const hostKey = newKey("ed25519");
    const hostAuthority = newKey("ed25519");
    const issue = (publicKey: KeyObject, authorityKey: KeyObject, before?: Date) =>
      issueSshCertificate({
        certType: "host",
        publicKey,
        authorityKey,
        keyId: "relay-server",
        principals: ["relay.test:2222"],
        validAfter: new Date(Date.now() - HOUR),
        validBefore: before ?? new Date(Date.now() + HOUR),
      }).blob;
    using captured = captureProtocols();
    const p = await pair({ hostKeys: { key: hostKey, authority: hostAuthority } });
    try {
      const [relay, gateway] = await Promise.all([p.server, p.client]);
      const protocol = captured.made.find(({ _server: isServer }) => isServer);
      const shown = key === "same" ? hostKey : newKey("ed25519");
      const certificate = issue(
        shown,
        authority === "same" ? hostAuthority : newKey("ed25519"),
        validBefore,
      );
      protocol._hostKeys = {
        "ssh-ed25519": {
          type: "ssh-ed25519",
          getPublicSSH: () => certificate,
          sign: (data: Buffer) => sign(null, data, shown),
        },
      };
      relay.rekey();
      if (!outcome) return void assert.ok(await gateway.ping() > 0);
      const reason = await within(5000, gateway.closed);
      assert.match(`${reason?.code}`, outcome);
    } finally {
      await p.close();
    }
  });
}

Deno.test("a host certificate that expires during a session does not end it at the next exchange", async () => {
  let now = new Date();
  await withPair({ client: { now: () => now } }, async (p) => {
    const [relay, gateway] = await Promise.all([p.server, p.client]);
    now = new Date(Date.now() + 1000 * HOUR);
    relay.rekey();
    assert.ok(await gateway.ping() > 0);
  });
});

// Cost

Deno.test("a budget refills with time, runs into debt once, and never beyond its burst", () => {
  let now = 0;
  const budget = new ExchangeBudget({ burst: 100, perSecond: 10 }, () => now);
  budget.spend(60);
  assert.equal(budget.exhausted, false);
  budget.spend(60);
  assert.equal(budget.exhausted, true);
  now = 1000;
  assert.equal(budget.exhausted, true);
  now = 2100;
  assert.equal(budget.exhausted, false);
  now = 1_000_000;
  assert.equal(budget.exhausted, false);
  budget.spend(100);
  assert.equal(budget.exhausted, true);
});
