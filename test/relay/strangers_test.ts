/** What strangers say to the relay's two ports instead of proving who they are. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import { Transport, transportReady } from "../../src/ssh/internals/transport.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";
import { captureLog } from "../captured_log.ts";
import { opening } from "../faults/flood.ts";
import { meaningless, NUMBER, packet } from "../ssh/meddler.ts";
import { newKey } from "../ssh/pair.ts";
import { within } from "../within.ts";
import {
  Client,
  connectGateway,
  dial,
  GATEWAY_ID,
  HOST,
  type RelayFixture,
  startFixture,
} from "./fixture.ts";

const LIMIT = 5_000;
/** So that it is not the time limit that ends a stranger, ms. */
const PATIENT = { loginTimeout: 60_000, handshakeTimeout: 60_000 };
const HOUR = 3_600_000;
const IDENT = Buffer.from("SSH-2.0-stranger\r\n");
const KEXDH_REPLY = 31;

/** Resolves when the other side has closed; what came stands in `said`. */
function over(socket: Socket, said: Buffer[] = []): Promise<void> {
  socket.on("data", (data: Buffer) => said.push(data));
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

async function honestComeIn(fixture: RelayFixture): Promise<void> {
  const gateway = await connectGateway(fixture, "edge");
  const client = new Client(fixture, await fixture.authorities.client());
  await client.ask("hello", "edge:hello");
  await client.close();
  await gateway.close();
}

const NONSENSE: Record<string, { words: Buffer; told: RegExp }> = {
  "HTTP": { words: Buffer.from("GET / HTTP/1.1\r\n\r\n"), told: /does not speak SSH/ },
  "TLS": { words: await opening("tls", "half"), told: /does not speak SSH/ },
  "random bytes": { words: Buffer.concat([Buffer.of(0), randomBytes(999)]), told: /not speak SSH/ },
  "a greeting before its line": {
    words: Buffer.concat([Buffer.from("hello\r\n"), IDENT]),
    told: /does not speak SSH/,
  },
  "an identification line of 256 bytes": {
    words: Buffer.from(`SSH-2.0-${"x".repeat(248)}`),
    told: /identification line is longer than 255 bytes/,
  },
  "a packet of 4 GiB": {
    words: Buffer.concat([IDENT, uint32(0xffff_fff0), Buffer.alloc(32)]),
    told: /packet length/i,
  },
  "a packet of 35,008 bytes": {
    words: Buffer.concat([IDENT, uint32(35_008), Buffer.alloc(32)]),
    told: /packet length/i,
  },
};

for (const [what, { words, told }] of Object.entries(NONSENSE)) {
  Deno.test(`a stranger who says ${what} to the SSH port is closed at once`, async () => {
    using log = captureLog();
    await using fixture = await startFixture({ limits: PATIENT });
    const socket = await dial(HOST, fixture.relay.ssh.port);
    const gone = over(socket);
    socket.write(words);
    await within(LIMIT, gone);
    await log.line(told);
    await honestComeIn(fixture);
  });
}

for (const what of ["HTTP", "random bytes"]) {
  Deno.test(`a stranger who says ${what} to the TLS port is closed at once`, async () => {
    await using fixture = await startFixture({ limits: PATIENT });
    const socket = await dial(HOST, fixture.relay.tls.port);
    const gone = over(socket);
    socket.write(NONSENSE[what]!.words);
    await within(LIMIT, gone);
    await honestComeIn(fixture);
  });
}

for (const port of ["ssh", "tls"] as const) {
  for (const load of ["silent", "half"] as const) {
    Deno.test(`a stranger with a ${load} handshake at the ${port} port is cut off in time`, async () => {
      using log = captureLog();
      const limits = { loginTimeout: 200, handshakeTimeout: 200 };
      await using fixture = await startFixture({ limits });
      const socket = await dial(HOST, fixture.relay[port].port);
      const gone = over(socket);
      const words = await opening(port, load);
      if (words.length > 0) socket.write(words);
      await within(LIMIT, gone);
      await log.line(/it took longer than 200 ms/);
    });
  }

  Deno.test(`a stranger who speaks a byte at a time at the ${port} port is cut off in time`, async () => {
    using log = captureLog();
    const limits = { loginTimeout: 300, handshakeTimeout: 300 };
    await using fixture = await startFixture({ limits });
    const socket = await dial(HOST, fixture.relay[port].port);
    const gone = over(socket);
    const words = await opening(port, "slow");
    let at = 0;
    const drip = setInterval(() => at < words.length && socket.write(words.subarray(at, ++at)), 5);
    await within(LIMIT, gone).finally(() => clearInterval(drip));
    await log.line(/it took longer than 300 ms/);
  });
}

Deno.test("who speaks a byte at a time but is through in time is served", async () => {
  await using fixture = await startFixture({ limits: PATIENT });
  const socket = await dial(HOST, fixture.relay.ssh.port);
  const said: Buffer[] = [];
  const replied = new Promise<void>((resolve) => {
    socket.on("data", (data: Buffer) => {
      said.push(data);
      if (Buffer.concat(said).includes(Buffer.of(KEXDH_REPLY, 0, 0))) resolve();
    });
  });
  const words = await opening("ssh", "keys");
  for (let at = 0; at < 40; at++) {
    socket.write(words.subarray(at, at + 1));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  socket.write(words.subarray(40));
  await within(LIMIT, replied);
  socket.destroy();
});

Deno.test("a stranger's ClientHello of 16 MiB is refused when 256 KiB of it have come", async () => {
  await using fixture = await startFixture({ limits: PATIENT });
  const socket = await dial(HOST, fixture.relay.tls.port);
  const gone = over(socket);
  const record = Buffer.concat([Buffer.of(22, 3, 1, 0x40, 0), Buffer.alloc(0x4000)]);
  const hello = Buffer.concat(Array(16).fill(record));
  hello.set([1, 0xff, 0xff, 0xff, 3, 3], 5);
  socket.write(hello);
  await within(LIMIT, gone);
  await honestComeIn(fixture);
});

Deno.test("a stranger who never comes to the point is cut off after 256 KiB", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: PATIENT });
  const stranger = await keyed(fixture);
  for (let i = 0; i < 400 && !stranger.closed; i++) {
    stranger.transport.send(byte(NUMBER.ignore), string(Buffer.alloc(1024)));
  }
  await within(LIMIT, stranger.over);
  await log.line(/more than 262144 bytes before login/);
});

Deno.test("a stranger who puts empty words before the key exchange is cut off after 256 KiB", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: PATIENT });
  const socket = await dial(HOST, fixture.relay.ssh.port);
  const gone = over(socket);
  socket.write(IDENT);
  const word = packet(meaningless(NUMBER.ignore));
  socket.write(Buffer.concat(Array(Math.ceil(300_000 / word.length)).fill(word)));
  await within(LIMIT, gone);
  await log.line(/no key exchange within the first|bytes before login/);
});

Deno.test("a stranger who wants a second key exchange before login is cut off", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: PATIENT });
  const stranger = await keyed(fixture);
  stranger.transport.rekey();
  await within(LIMIT, stranger.over);
  await log.line(/a second key exchange before login/);
});

Deno.test("a stranger who asks what methods there are again and again is cut off at the fourth time", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: PATIENT });
  const stranger = await keyed(fixture);
  const none = [string(GATEWAY_ID), string("ssh-connection"), string("none")];
  for (let i = 0; i < 10; i++) {
    stranger.transport.send(byte(MESSAGE.userauthRequest), ...none);
  }
  await within(LIMIT, stranger.over);
  // The first is no try; the third try ends it.
  assert.deepEqual(stranger.got.filter((type) => type === MESSAGE.userauthFailure).length, 3);
  await log.line(/no certificate was shown/);
});

Deno.test("a stranger with a stolen certificate, but not its key, may ask a few times whether it would do", async () => {
  using log = captureLog();
  await using fixture = await startFixture({ limits: PATIENT });
  const { blob } = issueSshCertificate({
    certType: "user",
    publicKey: newKey("ed25519"),
    authorityKey: fixture.authorities.userAuthority,
    keyId: "client-r1",
    principals: [GATEWAY_ID],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
  });
  const stranger = await keyed(fixture);
  const ask = [string(GATEWAY_ID), string("ssh-connection"), string("publickey"), byte(0)];
  for (let i = 0; i < 20; i++) {
    const key = [string("ssh-ed25519-cert-v01@openssh.com"), string(blob)];
    stranger.transport.send(byte(MESSAGE.userauthRequest), ...ask, ...key);
  }
  await within(LIMIT, stranger.over);
  assert.equal(stranger.got.filter((type) => type === MESSAGE.userauthPkOk).length, 7);
  await log.line(/no login within 8 messages/);
});

/** A stranger who has exchanged keys with the relay and been granted the service of logging in. */
async function keyed(fixture: RelayFixture) {
  await transportReady;
  const socket = await dial(HOST, fixture.relay.ssh.port);
  const got: number[] = [];
  const granted = Promise.withResolvers<void>();
  const stranger = {
    got,
    closed: false,
    over: new Promise<void>((resolve) =>
      socket.once("close", () => {
        stranger.closed = true;
        stranger.transport.destroy();
        resolve();
      })
    ),
    transport: new Transport({
      role: "client",
      algorithms: ALGORITHMS,
      ident: "stranger",
      verifyHostKey: () => {},
      events: {
        onWrite: (data) => void socket.write(Buffer.from(data)),
        onReady: () => stranger.transport.send(byte(5), string("ssh-userauth")),
        onServiceAccept: () => granted.resolve(),
        onMessage: (payload) => got.push(payload[0]!),
        onDisconnect: () => {},
        onError: () => {},
      },
    }),
  };
  socket.on("data", (data: Buffer) => stranger.transport.receive(data));
  stranger.transport.start();
  await within(LIMIT, granted.promise);
  return stranger;
}
