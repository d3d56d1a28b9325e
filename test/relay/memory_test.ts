/**
 * The relay as a process of its own, whose operator reads all of its memory while known content goes
 * through it both ways.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { StreamOpener } from "../../src/client/stream.ts";
import { dial } from "../../src/egress/dial.ts";
import type { Connection } from "../../src/enroll/api.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { parseRelayAddress } from "../../src/link/relay_address.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { target } from "../channel/served.ts";
import { type Child, startChild } from "../child.ts";
import { KnownContent } from "../known_content.ts";
import { platform, type PlatformFixture } from "../platform/fixture.ts";
import { memoryOf } from "../process_memory.ts";
import { requirement, ROOT } from "../requirements.ts";
import { temporaryFolder } from "../temporary.ts";
import { joinPlainly, overTls } from "./stand_ins.ts";

const HOST = "127.0.71.2";
const TARGET = "127.0.71.8";
const SIZE = 256 * 1024;
/** Times that the content goes through. */
const TIMES = 24;

/** What goes through one stream, and which words go with it. */
class Traffic {
  readonly content = new KnownContent(SIZE);
  readonly words = [`Bearer ${randomBytes(18).toString("base64url")}`];

  /** Whether anything of it is in the memory of a process, now: nobody here does anything meanwhile. */
  isIn(pid: number): boolean {
    const words = this.words.map((word) => Buffer.from(word));
    for (const piece of memoryOf(pid)) {
      if (this.content.findIn(piece) >= 0 || words.some((word) => piece.includes(word))) {
        return true;
      }
    }
    return false;
  }

  /** Sends it again and again to an echo; `underWay` is called when half of it has come back. */
  async pass(stream: Duplex, underWay: () => void): Promise<void> {
    const head = Buffer.from(this.words.join("\n"));
    const total = TIMES * (head.length + SIZE);
    let back = 0;
    let looked = false;
    const all = new Promise<void>((resolve, reject) => {
      stream.on("data", (chunk: Buffer) => {
        back += chunk.length;
        if (!looked && back > total / 2) {
          looked = true;
          underWay();
        }
        if (back === total) resolve();
      });
      stream.once("close", () => reject(new Error(`closed after ${back} of ${total} bytes`)));
    });
    for (let time = 0; time < TIMES; time++) {
      stream.write(head);
      if (!stream.write(this.content.bytes)) await once(stream, "drain");
    }
    await all;
    const closed = once(stream, "close");
    stream.end();
    await closed;
  }
}

async function startRelay(p: PlatformFixture, stateDir: string): Promise<Child> {
  const { token } = p.admin.createRelayToken({ relay: "r1" });
  const child = startChild(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", "--no-check", join(ROOT, "src", "main.ts")],
      ...["relay", "start", "--name", "r1", "--host", HOST, "--domain", p.url],
      ...["--enroll-method", "token", "--state-dir", stateDir],
      ...["--ssh-listen", `${HOST}:0`, "--tls-listen", `${HOST}:0`],
    ],
    env: { INFISICAL_TOKEN: token },
  });
  await child.line(/relay r1 serves/);
  return child;
}

Deno.test({
  name:
    "the relay's operator reads all of its memory during a transfer, and nothing of it is there",
  ...requirement("process memory"),
  fn: async () => {
    await using folder = await temporaryFolder();
    await using p = await platform({ listen: { host: HOST, port: 0 } });
    await using relay = await startRelay(p, folder.path);
    await using echo = await target(TARGET, (socket) => void socket.pipe(socket));
    const stop = new AbortController();
    const { token } = p.admin.createGatewayToken({ gateway: "edge" });
    const gateway = await startGateway({
      name: "edge",
      domain: p.url,
      auth: { method: "enroll-token", token: secretSource(token) },
      relayName: "r1",
      stateDir: folder.path,
      healthListen: "off",
      drainTimeout: 0,
    }, stop.signal);
    try {
      await gateway.state.until(({ phase }) => phase === "up", stop.signal);
      const actor = `ada-${randomBytes(6).toString("hex")}`;
      const client = p.as(actor, ["client"]);
      const grant = (name: string) =>
        client.openConnection({ gateway: name, targetHost: echo.host, targetPort: echo.port });

      const covered = new Traffic();
      const opener = new StreamOpener();
      covered.words.push(TARGET, actor);
      const stream = await opener.stream(await grant("edge"), "infisical-tcp-proxy");
      const seen: boolean[] = [];
      await covered.pass(stream, () => seen.push(covered.isIn(relay.pid)));
      seen.push(covered.isIn(relay.pid));
      assert.deepEqual(seen, [false, false]);

      // The same search of the same process, by client and gateway that do without TLS inside.
      const open = new Traffic();
      const session = await joinWithoutTls(p, echo);
      await open.pass(await withoutTls(await grant("plain")), () => {
        seen.push(open.isIn(relay.pid), covered.isIn(relay.pid));
      });
      assert.deepEqual(seen.slice(2), [true, false]);
      session.close();
    } finally {
      stop.abort();
      await gateway.finished;
    }
  },
});

/** A client that trusts the relay with its content. */
async function withoutTls({ relay }: Connection): Promise<Duplex> {
  return await overTls(await dial(relay.host, relay.tlsPort), relay, { host: relay.host });
}

/** A gateway that trusts the relay with its content. */
async function joinWithoutTls(p: PlatformFixture, to: { host: string; port: number }) {
  const { gatewayId, relayHost, ssh } = await p.as("plain", ["gateway"])
    .registerGateway({ name: "plain", relayName: "r1" });
  const { host, port } = parseRelayAddress(relayHost);
  return await connectSsh({
    socket: await dial(host, port),
    user: gatewayId,
    certificate: ssh.clientCertificate,
    privateKey: ssh.clientPrivateKey,
    hostAuthority: ssh.serverCAPublicKey,
    hostPrincipals: [`${host}:${port}`],
    onChannel: (channel) => void joinPlainly(channel, to),
  });
}
