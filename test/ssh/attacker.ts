/**
 * Who has finished the key exchange with a relay or a gateway, maybe logged in as well, and then says
 * what it likes. Its transport is the real one; everything above it is up to the test.
 */
import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import {
  defaultSignatureAlgorithm,
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
  signSsh,
} from "../../src/certificates/ssh_key.ts";
import type { SallyportError } from "../../src/errors.ts";
import { ALGORITHMS } from "../../src/ssh/algorithms.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { connectSsh, type ConnectSshOptions, type SshSession } from "../../src/ssh/client.ts";
import { Transport, transportReady } from "../../src/ssh/internals/transport.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import { acceptSsh, type AcceptSshOptions, type GatewaySession } from "../../src/ssh/server.ts";
import { byte, string, uint32 } from "../../src/ssh/wire.ts";
import { connectTo, GATEWAY_ID, listenOnce, newKey } from "./pair.ts";

/** Which of our two sides is attacked. */
export type Side = "relay" | "gateway";
/** How far the attacker gets before the test takes over. */
export type Stage = "connected" | "keys" | "session";

/** The most that our own cipher can send, well above what a peer takes, bytes. */
const LONGEST = 60_000;
const HOUR = 3_600_000;
const PRINCIPAL = "relay.test:2222";
const KEY_ID = "client-r1";

function certify(certType: "host" | "user", key: KeyObject, authorityKey: KeyObject): Buffer {
  return issueSshCertificate({
    certType,
    publicKey: key,
    authorityKey,
    keyId: certType === "host" ? "relay-server" : KEY_ID,
    principals: certType === "host" ? [PRINCIPAL] : [GATEWAY_ID, "edge"],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
  }).blob;
}

const [hostAuthority, userAuthority, hostKey, userKey] = [0, 1, 2, 3]
  .map(() => newKey("ed25519")) as [KeyObject, KeyObject, KeyObject, KeyObject];
const host = { certificate: certify("host", hostKey, hostAuthority), privateKey: hostKey };
const userCertificate = certify("user", userKey, userAuthority);

/** What a test may want different. */
export interface AttackOptions {
  side: Side;
  stage: Stage;
  victim?: Partial<AcceptSshOptions & ConnectSshOptions>;
}

/** One attack on one side over one real connection. */
export class Attack implements AsyncDisposable {
  /** The victim's session, once it has one; rejects with why it has none. */
  readonly session: Promise<GatewaySession | SshSession>;
  /** Why the victim's session, or its attempt at one, is over. */
  readonly ended: Promise<SallyportError | undefined>;
  /** Messages that the victim has sent, from 50 up. */
  readonly heard: Buffer[] = [];
  /** What the attacker's transport has put on the wire. */
  readonly wrote: Buffer[] = [];
  /** Channels that the victim was made to take. */
  readonly channels: Channel[] = [];
  /** Takes what comes without understanding it: answers nothing, not even a key exchange. */
  deaf = false;
  readonly #transport: Transport;
  readonly #watchers = new Set<() => void>();
  #ready = false;

  private constructor(
    readonly options: AttackOptions,
    /** The attacker's end of the connection. */
    readonly socket: Socket,
    /** The victim's end. */
    readonly theirs: Socket,
    readonly close: () => Promise<void>,
  ) {
    const { side, victim } = options;
    this.session = side === "relay" ? attackedRelay(theirs, victim) : connectSsh({
      socket: theirs,
      user: GATEWAY_ID,
      certificate: formatAuthorizedKey(userCertificate),
      privateKey: formatPrivateKey(userKey),
      hostAuthority: formatAuthorizedKey(publicKeyBlob(hostAuthority)),
      hostPrincipals: [PRINCIPAL],
      onChannel: (channel) => this.channels.push(channel),
      ...victim,
    });
    this.ended = this.session.then(({ closed }) => closed, (error) => error);
    this.#transport = new Transport({
      role: side === "relay" ? "client" : "server",
      algorithms: ALGORITHMS,
      ident: "attacker",
      host: side === "relay" ? undefined : host,
      verifyHostKey: () => {},
      events: {
        onWrite: (data) => {
          const copy = Buffer.from(data);
          this.wrote.push(copy);
          if (!socket.destroyed) socket.write(copy);
        },
        onReady: () => {
          this.#ready = true;
          this.#look();
        },
        onMessage: (payload) => this.#onMessage(Buffer.from(payload)),
        onServiceRequest: (name) => this.send(byte(6), string(name)),
        onDisconnect: () => {},
        onError: () => {},
      },
    });
    socket.on("error", () => {}).on("end", () => socket.end());
  }

  static async begin(options: AttackOptions): Promise<Attack> {
    const { server, socket, port } = await listenOnce();
    const ours = await connectTo(port);
    let closing: Promise<void> | undefined;
    const close = async () => {
      const gone = [ours, await socket].filter(({ closed }) => !closed)
        .map((end) => new Promise((resolve) => end.once("close", resolve)));
      ours.destroy();
      await Promise.all(gone);
      server.close();
      await once(server, "close");
    };
    const attack = new Attack(options, ours, await socket, () => closing ??= close());
    await transportReady;
    if (options.stage !== "connected") await attack.#advance();
    return attack;
  }

  /** Sends one message in parts, encrypted; whatever number it has, and longer than it may be. */
  send(...parts: Uint8Array[]): void {
    const message = Buffer.concat(parts).subarray(0, LONGEST);
    if (!this.socket.destroyed) this.#transport.send(message);
  }

  /** Asks for new keys, as an honest side does. */
  rekey(): void {
    this.#transport.rekey();
  }

  /** Resolves when `fact` holds of what was heard; looks at each message. Rejects if the victim ends. */
  async until(fact: () => boolean): Promise<void> {
    const over = this.ended.then((error) => Promise.reject(error ?? new Error("closed")));
    over.catch(() => {});
    const holds = new Promise<void>((resolve) => {
      const look = () => {
        if (!fact()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
    await Promise.race([holds, over]);
  }

  /** Resolves when the victim has let go of its connection. */
  released(): Promise<void> {
    const { theirs } = this;
    return new Promise((resolve) => {
      if (theirs.closed) resolve();
      else theirs.once("close", () => resolve());
    });
  }

  /** Channels numbered from 0 on, which the relay opens toward the gateway, whichever of both we are. */
  async openChannels(count: number): Promise<void> {
    for (let id = 0; id < count; id++) {
      const numbers = [id, 1024 * 1024, 32 * 1024].map(uint32);
      if (this.options.side === "gateway") {
        this.send(byte(MESSAGE.channelOpen), string("direct-tcpip"), ...numbers);
        await this.until(() => this.channels.length > id);
      } else {
        const opening = (await this.session as GatewaySession).open();
        this.send(byte(MESSAGE.channelOpenConfirmation), uint32(id), ...numbers);
        this.channels.push(await opening);
      }
    }
  }

  /** A login that the relay accepts: the certificate, signed for this session. */
  login(): Buffer {
    const plain = defaultSignatureAlgorithm("ssh-ed25519");
    const request = Buffer.concat([
      byte(MESSAGE.userauthRequest),
      ...[GATEWAY_ID, "ssh-connection", "publickey"].map(string),
      byte(1),
      string(`${plain}-cert-v01@openssh.com`),
      string(userCertificate),
    ]);
    const covered = Buffer.concat([string(this.#transport.sessionId), request]);
    return Buffer.concat([request, string(signSsh(userKey, covered, plain))]);
  }

  /** The same without a signature: would it do? */
  query(): Buffer {
    const login = this.login();
    const at = login.indexOf(string("publickey")) + 13;
    const signature = 4 + login.subarray(login.lastIndexOf(string("ssh-ed25519")) - 4).length - 4;
    const query = Buffer.from(login.subarray(0, login.length - signature));
    query[at] = 0;
    return query;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    this.#transport.destroy();
  }

  async #advance(): Promise<void> {
    const { side, stage } = this.options;
    this.#transport.start();
    this.socket.on("data", (data) => {
      if (!this.deaf) this.#transport.receive(data);
    });
    await this.until(() => this.#ready);
    if (stage === "keys") return;
    if (side === "relay") {
      this.send(byte(5), string("ssh-userauth"));
      this.send(this.login());
    } else {
      await this.until(() => this.heard.some(([number]) => number === MESSAGE.userauthRequest));
      this.send(byte(MESSAGE.userauthSuccess));
    }
    await this.session;
    this.heard.length = 0;
  }

  /** Pings are answered, whatever else goes on. */
  #onMessage(payload: Buffer): void {
    if (payload[0] === MESSAGE.globalRequest) this.send(byte(MESSAGE.requestFailure));
    this.heard.push(payload);
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }
}

function attackedRelay(
  socket: Socket,
  victim: AttackOptions["victim"],
): Promise<GatewaySession> {
  return acceptSsh({
    socket,
    host,
    userAuthority: publicKeyBlob(userAuthority),
    keyId: KEY_ID,
    ...victim,
  });
}
