import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { type EventEmitter, once } from "node:events";
import type { Duplex } from "node:stream";
import type { AddressInfo } from "node:net";
import { formatPrivateKey } from "../../src/certificates/ssh_key.ts";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { FIRST_WINDOW } from "../../src/ssh/window_budget.ts";
import { type Forwarder, forwarder } from "../forwarder.ts";
import { until } from "../virtual_clock.ts";
import { type SlowLine, slowLine } from "./slow_line.ts";
import {
  connectTo,
  GATEWAY_ID,
  KEY_TYPES,
  listenOnce,
  newKey,
  pair,
  type PairOptions,
} from "./pair.ts";

const HOUR = 3_600_000;
const MIB = 1024 * 1024;

const code = (expected: string) => (error: unknown) =>
  error instanceof SallyportError && error.code === expected;

/** Sends `total` random bytes, then EOF; gives their hash. */
async function send(stream: Duplex, total: number, size = 65_536): Promise<string> {
  const hash = createHash("sha256");
  const block = randomBytes(size);
  for (let left = total; left > 0; left -= size) {
    const part = Buffer.from(block.subarray(0, Math.min(size, left)));
    part[0] = left & 0xff;
    hash.update(part);
    if (!stream.write(part)) await once(stream, "drain");
  }
  stream.end();
  return hash.digest("hex");
}

/** Reads to the end. With events: leaving a `for await` would destroy the other direction too. */
async function receive(stream: Duplex): Promise<{ bytes: number; hash: string; text: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    if (text.length < 100) text += chunk.toString("latin1");
  });
  await once(stream, "end");
  return { bytes, hash: hash.digest("hex"), text };
}

const echo = (channel: Channel) => void channel.pipe(channel);

for (const keys of KEY_TYPES) {
  Deno.test(`${keys}: a gateway joins a relay, certificates on both sides, and bytes come back`, async () => {
    const p = await pair({ keys, onChannel: echo });
    try {
      const relay = await p.server;
      assert.equal(relay.gatewayId, GATEWAY_ID);
      const channel = await relay.open();
      const [sent, got] = await Promise.all([send(channel, 3 * MIB), receive(channel)]);
      assert.equal(got.hash, sent);
      assert.ok(await (await p.client).ping() > 0);
    } finally {
      await p.close();
    }
  });
}

for (const cipher of ALGORITHMS.cipher) {
  for (const mac of cipher.includes("ctr") ? ALGORITHMS.mac : ALGORITHMS.mac.slice(0, 1)) {
    const name = cipher.includes("ctr") ? `${cipher} with ${mac}` : cipher;
    Deno.test(`${name}: bytes of every size and across rekeying arrive as they were sent`, async () => {
      const algorithms = { ...ALGORITHMS, cipher: [cipher], mac: [mac] };
      const p = await pair({ client: { algorithms }, onChannel: echo });
      try {
        const [relay, client] = await Promise.all([p.server, p.client]);
        const small = await relay.open();
        const [sentSmall, gotSmall] = await Promise.all([
          send(small, 20_000, 7),
          receive(small),
        ]);
        assert.equal(gotSmall.hash, sentSmall);
        const channel = await relay.open();
        const sending = send(channel, 6 * MIB);
        const receiving = receive(channel);
        client.rekey();
        relay.rekey();
        const [sent, got] = await Promise.all([sending, receiving]);
        assert.equal(got.hash, sent);
      } finally {
        await p.close();
      }
    });
  }
}

for (const kex of ALGORITHMS.kex) {
  Deno.test(`key exchange ${kex} works between both of ours`, async () => {
    const p = await pair({ client: { algorithms: { ...ALGORITHMS, kex: [kex] } } });
    try {
      assert.ok(await (await p.client).ping() > 0);
    } finally {
      await p.close();
    }
  });
}

Deno.test("new keys every few packets, asked for by both sides under load, cost no byte", async () => {
  const p = await pair({
    client: { rekeyBytes: 150_000 },
    server: { rekeyBytes: 190_000 },
    onChannel: echo,
  });
  try {
    const relay = await p.server;
    await Promise.all([1000, 9000, 65_536].map(async (size) => {
      const channel = await relay.open();
      const [sent, got] = await Promise.all([send(channel, 2 * MIB, size), receive(channel)]);
      assert.equal(got.hash, sent);
    }));
  } finally {
    await p.close();
  }
});

Deno.test("what was sent before the session ended is still read", async () => {
  let far: Channel | undefined;
  const p = await pair({ onChannel: (channel) => far = channel });
  try {
    const [relay, client] = await Promise.all([p.server, p.client]);
    const channel = await relay.open();
    const failure = once(channel, "error");
    await new Promise((done) => far!.write(Buffer.alloc(30_000, "x"), done));
    client.close();
    await relay.closed;
    let bytes = 0;
    channel.on("data", (chunk: Buffer) => bytes += chunk.length);
    const [reason] = await failure;
    assert.equal(reason.code, "ssh-closed");
    assert.equal(bytes, 30_000);
  } finally {
    await p.close();
  }
});

Deno.test("a slow line with much on it is not taken for a dead one", async () => {
  let cable: SlowLine | undefined;
  const p = await pair({
    server: { keepalive: { interval: 50, timeout: 150 } },
    onChannel: (channel) => channel.resume(),
    connect: async (port) => {
      cable = await slowLine(port, 4 * MIB);
      return await connectTo(cable.port);
    },
  });
  try {
    const relay = await p.server;
    const channel = await relay.open();
    channel.on("error", () => {});
    await Promise.race([
      send(channel, 6 * MIB).then(() => once(channel, "finish")),
      relay.closed.then((reason) => assert.fail(`${reason}`)),
    ]);
  } finally {
    await p.close();
    await cable?.close();
  }
});

Deno.test("the latency is that of the last keepalive, and there is none before", async () => {
  const p = await pair({ client: { keepalive: { interval: 20, timeout: 1000 } } });
  try {
    await p.server;
    const gateway = await p.client;
    assert.equal(gateway.latency, undefined);
    await until(() => gateway.latency !== undefined, "a keepalive is answered");
    const first = gateway.latency!;
    assert.ok(first > 0 && first < 1000, String(first));
    await until(() => gateway.latency !== first, "the next one is measured, too");
  } finally {
    await p.close();
  }
});

Deno.test("pings leave nothing behind on their signal", async () => {
  const p = await pair();
  try {
    const relay = await p.server;
    const listeners = new Set<unknown>();
    const { signal } = new AbortController();
    const [add, remove] = [signal.addEventListener, signal.removeEventListener];
    signal.addEventListener = (...[name, listener, ...rest]: Parameters<typeof add>) => {
      listeners.add(listener);
      add.call(signal, name, listener, ...rest);
    };
    signal.removeEventListener = (...[name, listener]: Parameters<typeof remove>) => {
      listeners.delete(listener);
      remove.call(signal, name, listener);
    };
    for (let i = 0; i < 10; i++) await relay.ping(signal);
    (await p.client).close();
    await relay.closed;
    await assert.rejects(relay.ping(signal), code("ssh-closed"));
    assert.equal(listeners.size, 0);
    await assert.rejects(relay.ping(AbortSignal.abort(new Error("stop"))), /stop/);
  } finally {
    await p.close();
  }
});

Deno.test("a half-closed channel still gets its answer", async () => {
  const p = await pair({
    onChannel: async (channel) => {
      const { bytes } = await receive(channel);
      channel.end(`${bytes}\n`);
    },
  });
  try {
    const relay = await p.server;
    for (let i = 0; i < 20; i++) {
      const channel = await relay.open();
      const [, answer] = await Promise.all([send(channel, 300_000), receive(channel)]);
      assert.equal(answer.text, "300000\n");
    }
  } finally {
    await p.close();
  }
});

Deno.test("a reader that does not read stops the sender within the window, other channels go on", async () => {
  const channels: Channel[] = [];
  const p = await pair({ onChannel: (channel) => channels.push(channel) });
  try {
    const relay = await p.server;
    const stuck = await relay.open();
    stuck.on("error", () => {});
    let sent = 0;
    const block = Buffer.alloc(4096);
    const fill = () => {
      while (stuck.write(block, () => sent += block.length));
    };
    stuck.on("drain", fill);
    fill();
    const free = await relay.open();
    channels[1]!.pipe(channels[1]!);
    const [hash, got] = await Promise.all([send(free, 8 * MIB), receive(free)]);
    assert.equal(got.hash, hash);
    assert.ok(sent <= FIRST_WINDOW, `${sent} bytes went out to a reader that does not read`);
    assert.ok(sent > FIRST_WINDOW / 2, "the window was used");
  } finally {
    await p.close();
  }
});

Deno.test("channels beyond the limit are refused cleanly, and the number is free again afterwards", async () => {
  const p = await pair({ client: { maxChannels: 2 }, onChannel: echo });
  try {
    const relay = await p.server;
    const [first] = await Promise.all([relay.open(), relay.open()]);
    await assert.rejects(relay.open(), code("ssh-channel"));
    first!.destroy();
    await once(first!, "close");
    await (await p.client).ping();
    await relay.open();
  } finally {
    await p.close();
  }
});

Deno.test("both sides notice that the other has fallen silent", async () => {
  const keepalive = { interval: 50, timeout: 200 };
  let cable: Forwarder | undefined;
  const p = await pair({
    server: { keepalive },
    client: { keepalive },
    connect: async (port) => {
      cable = await forwarder({ host: "127.0.0.1", port });
      return await connectTo(cable.port);
    },
  });
  try {
    const [relay, client] = await Promise.all([p.server, p.client]);
    cable!.cut();
    for (const end of [relay, client]) {
      const reason = await end.closed;
      assert.equal(reason?.code, "ssh-closed");
      assert.match(reason?.message ?? "", /no sign of life/);
    }
  } finally {
    await p.close();
    await cable?.close();
  }
});

interface Refusal {
  what: string;
  options: PairOptions;
  code: ErrorCode;
}

const past = {
  validAfter: new Date(Date.now() - 2 * HOUR),
  validBefore: new Date(Date.now() - HOUR),
};
const stranger = newKey("ed25519");

const RELAYS_REFUSED: Refusal[] = [
  {
    what: "of another authority",
    options: { host: { authorityKey: stranger } },
    code: "certificate-authority",
  },
  {
    what: "for another host",
    options: { host: { principals: ["other.test:2222"] } },
    code: "certificate-principal",
  },
  { what: "for nobody", options: { host: { principals: [] } }, code: "certificate-principal" },
  { what: "of user type", options: { host: { certType: "user" } }, code: "certificate-type" },
  { what: "that has expired", options: { host: past }, code: "certificate-validity" },
  {
    what: "with a critical option",
    options: { host: { criticalOptions: { "source-address": "10.0.0.0/8" } } },
    code: "certificate-option",
  },
];

for (const { what, options, code: expected } of RELAYS_REFUSED) {
  Deno.test(`a gateway refuses a relay whose host certificate is one ${what}`, async () => {
    const p = await pair(options);
    try {
      await assert.rejects(p.client, code(expected));
      await assert.rejects(p.server, SallyportError);
    } finally {
      await p.close();
    }
  });
}

const GATEWAYS_REFUSED: Refusal[] = [
  {
    what: "of another authority",
    options: { user: { authorityKey: stranger } },
    code: "certificate-authority",
  },
  {
    what: "for another relay",
    options: { user: { keyId: "client-r2" } },
    code: "certificate-key-id",
  },
  {
    what: "for another gateway",
    options: { user: { principals: ["someone"] } },
    code: "certificate-principal",
  },
  {
    what: "that only carries the gateway's id as a name",
    options: { user: { principals: ["someone", GATEWAY_ID] } },
    code: "certificate-principal",
  },
  { what: "of host type", options: { user: { certType: "host" } }, code: "certificate-type" },
  { what: "that has expired", options: { user: past }, code: "certificate-validity" },
];

for (const { what, options, code: expected } of GATEWAYS_REFUSED) {
  Deno.test(`a relay refuses a gateway whose user certificate is one ${what}`, async () => {
    const p = await pair(options);
    try {
      await assert.rejects(p.client, code("ssh-authentication"));
      await assert.rejects(p.server, SallyportError);
      assert.deepEqual(p.refusals.map((error) => error.code), [expected]);
    } finally {
      await p.close();
    }
  });
}

Deno.test("a private key that does not belong to the certificate is refused before a byte is sent", async () => {
  const p = await pair({ client: { privateKey: formatPrivateKey(newKey("ed25519")) } });
  await assert.rejects(p.client, code("key-malformed"));
  await p.close();
});

Deno.test("a relay that shows a raw host key is refused", async () => {
  const { default: ssh2 } = await import("ssh2");
  const hostKeys = [formatPrivateKey(newKey("ed25519"))];
  const relay = new ssh2.Server(
    { hostKeys },
    (client: EventEmitter) => client.on("error", () => {}),
  );
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const port = (relay.address() as AddressInfo).port;
  const p = await pair({ connect: () => connectTo(port) });
  await assert.rejects(p.client, code("host-key-raw"));
  relay.close();
  (await connectTo(p.port)).destroy();
  await p.close();
});

Deno.test("a login with a raw key, a password or nothing is refused", async () => {
  const p = await pair({ connect: () => new Promise(() => {}) });
  const { default: ssh2 } = await import("ssh2");
  const client = new ssh2.Client();
  const failure = once(client, "error");
  client.connect({
    host: "127.0.0.1",
    port: p.port,
    username: GATEWAY_ID,
    password: "x",
    privateKey: formatPrivateKey(newKey("ecdsa")),
    algorithms: { serverHostKey: ["ssh-ed25519"] },
  });
  await failure;
  await assert.rejects(p.server, SallyportError);
  await p.closeServer();
});

Deno.test("garbage instead of SSH ends the attempt with an error of ours, on both sides", async () => {
  for (const garbage of ["HTTP/1.1 200 OK\r\n\r\n", "SSH-2.0-x\r\n\0\0\0\xff".repeat(40)]) {
    const { server, socket, port } = await listenOnce();
    const p = await pair({ connect: () => connectTo(port) });
    (await socket).end(garbage);
    await assert.rejects(p.client, SallyportError);
    (await connectTo(p.port)).end(garbage);
    await assert.rejects(p.server, SallyportError);
    server.close();
    await p.close();
  }
});

Deno.test("a login that takes too long is given up", async () => {
  const p = await pair({
    connect: () => new Promise(() => {}),
    server: { signal: AbortSignal.timeout(100) },
  });
  const idle = await connectTo(p.port);
  await assert.rejects(p.server, code("timeout"));
  idle.destroy();
  await p.closeServer();
});
