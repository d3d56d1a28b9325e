/** New keys again and again, asked for by both sides at once, while data flows to and from others' programs. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { PlatformApi } from "../../src/enroll/api.ts";
import { formatPrivateKey, publicKeyBlob } from "../../src/certificates/ssh_key.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { Session } from "../../src/ssh/session.ts";
import { byte, string, uint32, WireReader } from "../../src/ssh/wire.ts";
import { receive, send } from "../hashed_bytes.ts";
import { freePort } from "../lab_process.ts";
import { requirement } from "../requirements.ts";
import { connectTo, GATEWAY_ID, listenOnce, newKey } from "../ssh/pair.ts";
import { captureProtocols, rawSession } from "../ssh/raw_session.ts";
import { temporaryFolder } from "../temporary.ts";
import { until } from "../virtual_clock.ts";
import { within } from "../within.ts";
import {
  GATEWAY,
  labPlatform,
  RELAY as LAB_RELAY,
  startTestGateway,
  startTestRelay,
} from "./lab_system.ts";
import { HOST, startSsh, startSshd, USER, writeKey, writeLine } from "./openssh_program.ts";
import { issue, RELAY } from "./openssh_visit.ts";
import { openPort, startTarget } from "./traffic.ts";

const MIB = 1024 * 1024;
const SIZE = 12 * MIB;
const OUR_LIMIT = 700_000;

function exchanges(log: string): number {
  return log.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
}

Deno.test({
  name:
    "our client and sshd: 12 MiB through cat and back, byte for byte, with new keys all the time",
  ...requirement("sshd"),
  async fn() {
    await using folder = await temporaryFolder();
    const path = (name: string) => join(folder.path, name);
    const [hostKey, hostAuthority, userKey, userAuthority] = [0, 1, 2, 3].map(() =>
      newKey("ed25519")
    );
    await using sshd = await startSshd({
      folder: folder.path,
      hostKeys: [await writeKey(path("host"), formatPrivateKey(hostKey!))],
      hostCertificates: [
        await writeLine(path("host-cert.pub"), issue("host", hostKey!, hostAuthority!).blob),
      ],
      userAuthority: userAuthority!,
      principals: [GATEWAY_ID],
      more: ["RekeyLimit 512K"],
    });
    const socket = await connectTo(sshd.port, HOST);
    const cat = new Cat();
    const raw = rawSession(socket, {
      certificate: issue("user", userKey!, userAuthority!).blob,
      key: userKey!,
      user: USER,
      rekeyBytes: OUR_LIMIT,
      onMessage: (payload) => cat.receive(payload),
    });
    assert.equal(await raw.login, true);
    const [sent, got] = await within(
      60_000,
      Promise.race([
        cat.run(raw.session),
        raw.session.closed.then((reason) => assert.fail(`${reason}`)),
      ]),
    );
    assert.equal(got, sent);
    assert.ok(exchanges(sshd.log) > 20, `${exchanges(sshd.log)} exchanges`);
    raw.session.close();
    if (!socket.closed) await once(socket, "close");
  },
});

/** `ssh host cat`, as far as it takes. */
class Cat {
  readonly #got = createHash("sha256");
  #received = 0;
  #window = 0;
  #peer = 0;
  #wake = () => {};
  readonly #opened = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();

  receive(payload: Buffer): void {
    const reader = new WireReader(payload, "message", 5);
    switch (payload[0]) {
      case 91:
        this.#peer = reader.uint32("sender");
        this.#window = reader.uint32("window");
        return this.#opened.resolve();
      case 93:
        this.#window += reader.uint32("bytes");
        return this.#wake();
      case 94: {
        const data = reader.bytes("data");
        this.#got.update(data);
        this.#received += data.length;
        if (this.#received === SIZE) this.#done.resolve();
      }
    }
  }

  async run(session: Session): Promise<[sent: string, got: string]> {
    session.send(byte(90), string("session"), uint32(0), uint32(2 ** 31), uint32(32_768));
    await this.#opened.promise;
    session.send(byte(98), uint32(this.#peer), string("exec"), byte(0), string("cat"));
    const hash = createHash("sha256");
    for (let left = SIZE; left > 0;) {
      const data = randomBytes(Math.min(left, 30_000, this.#window));
      if (data.length === 0) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      hash.update(data);
      this.#window -= data.length;
      left -= data.length;
      session.send(byte(94), uint32(this.#peer), string(data));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#done.promise;
    return [hash.digest("hex"), this.#got.digest("hex")];
  }
}

Deno.test({
  name: "ssh and our server: 12 MiB through a forwarding and back, with new keys all the time",
  ...requirement("ssh"),
  async fn() {
    await using folder = await temporaryFolder();
    const path = (name: string) => join(folder.path, name);
    const [hostKey, hostAuthority, userKey] = [0, 1, 2].map(() => newKey("ed25519"));
    const { server, socket: visitor, port } = await listenOnce(HOST);
    const visit = visitor.then((socket) => {
      const session: Session = new Session({
        role: "server",
        socket,
        host: {
          certificate: issue("host", hostKey!, hostAuthority!).blob,
          privateKey: hostKey!,
        },
        rekeyBytes: OUR_LIMIT,
        onOpen: (channel) => void channel.pipe(channel),
      });
      session.start({
        onReady: () => {},
        onServiceRequest: (name) => session.send(byte(6), string(name)),
        onMessage: () => {
          session.send(byte(52));
          session.authenticated();
        },
      });
      return { session, socket };
    });
    const forwarded = await freePort("127.0.0.1");
    {
      await using ssh = startSsh({
        port,
        user: GATEWAY_ID,
        host: RELAY,
        knownHosts: await writeLine(
          path("known_hosts"),
          publicKeyBlob(hostAuthority!),
          "@cert-authority * ",
        ),
        identity: await writeKey(path("id"), formatPrivateKey(userKey!)),
        more: ["RekeyLimit=512K", `LocalForward=127.0.0.1:${forwarded} target:1`],
      });
      await ssh.line(/Local forwarding listening on/);
      const { session } = await visit;
      await ssh.line(/Entering interactive session/);
      const stream = await connectTo(forwarded);
      const [sent, got] = await within(
        60_000,
        Promise.race([
          Promise.all([send(stream, SIZE, "ssh"), receive(stream)]),
          session.closed.then((reason) => assert.fail(`${reason}`)),
        ]),
      );
      assert.deepEqual(got, sent);
      assert.ok(exchanges(ssh.log) > 20, `${exchanges(ssh.log)} exchanges`);
      stream.destroy();
      session.close();
      await session.closed;
    }
    const { socket } = await visit;
    if (!socket.closed) await once(socket, "close");
    server.close();
    await once(server, "close");
  },
});

/**
 * Sends 24 MiB to an echo, with new keys again and again meanwhile: `renew` asks for them and gives what
 * only these keys have.
 */
async function carryWhile(
  socket: Socket,
  renew: (carrying: Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const seen = new Set<unknown>();
  let over = false;
  const carrying = Promise.all([send(socket, 2 * SIZE, GATEWAY), receive(socket)])
    .finally(() => over = true);
  while (!over) seen.add(await renew(carrying));
  const [sent, got] = await carrying;
  assert.deepEqual(got, sent);
  assert.ok(seen.size > 5, `${seen.size} exchanges`);
}

Deno.test({
  name: "the lab's gateway and our relay: 24 MiB both ways at once, with new keys all the time",
  ...requirement("go"),
  async fn() {
    const host = "127.0.74.2";
    await using platform = await labPlatform("ed25519", host);
    const stop = new AbortController();
    const relay = await startRelay({
      name: LAB_RELAY,
      host,
      type: "org",
      api: new PlatformApi({ domain: platform.url, token: () => platform.token }),
      sshListen: { host, port: 2222 },
      tlsListen: { host, port: 8443 },
    }, stop.signal);
    try {
      await using _gateway = await startTestGateway("lab", platform);
      await using target = await startTarget(host, (socket) => socket.pipe(socket));
      await using port = await openPort(() => platform.grant(host, target.port));
      const { gatewayId } = await platform.grant(host, target.port);
      const session = relay.registry.get(gatewayId)!;
      await carryWhile(await port.dial(), async (carrying) => {
        session.rekey();
        await Promise.race([session.ping(), carrying]);
        return session.algorithms;
      });
    } finally {
      stop.abort();
      await relay.finished;
    }
  },
});

Deno.test({
  name: "our gateway and the lab's relay: 24 MiB both ways at once, with new keys all the time",
  ...requirement("go"),
  async fn() {
    const host = "127.0.74.4";
    await using platform = await labPlatform("ed25519", host);
    await using _relay = await startTestRelay("lab", platform, host);
    using captured = captureProtocols();
    await using _gateway = await startTestGateway("ours", platform);
    await using target = await startTarget(host, (socket) => socket.pipe(socket));
    await using port = await openPort(() => platform.grant(host, target.port));
    const protocol = captured.made.find(({ _server: isServer }) => !isServer);
    await carryWhile(await port.dial(), async (carrying) => {
      protocol.rekey();
      await Promise.race([until(() => protocol._kexinit === undefined, "new keys"), carrying]);
      return protocol._kex;
    });
  },
});
