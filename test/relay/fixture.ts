/** Our relay with authorities of the test's own, and the gateways and clients that come to it. */
import type { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { issueSshCertificate, type SshCertificateRequest } from "../../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../../src/certificates/ssh_key.ts";
import type { RelayRegistration } from "../../src/enroll/api.ts";
import { type RelayOptions, type RunningRelay, startRelay } from "../../src/relay/relay.ts";
import type { Algorithms } from "../../src/ssh/algorithms.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { connectSsh, type SshSession } from "../../src/ssh/client.ts";
import { type Identity, type LeafOptions, Pki } from "../channel/pki.ts";
import { newKey } from "../ssh/pair.ts";

/** Where these tests' relays listen; "localhost" is the name in their certificates. */
export const HOST = "127.0.40.31";
export const GATEWAY_ID = "11111111-1111-4111-8111-111111111111";
const HOUR = 3_600_000;

/** What the platform holds for one relay. */
export class Authorities {
  readonly hostAuthority = newKey("ed25519");
  readonly userAuthority = newKey("ed25519");

  private constructor(readonly pki: Pki) {}

  static async create(): Promise<Authorities> {
    return new Authorities(await Pki.create("ecdsa"));
  }

  registration(): RelayRegistration {
    const key = newKey("ed25519");
    const host = issueSshCertificate({
      certType: "host",
      publicKey: key,
      authorityKey: this.hostAuthority,
      keyId: "relay-server",
      principals: ["localhost:2222"],
      ...validity(),
    });
    return {
      pki: this.pki.registration,
      ssh: {
        serverCertificate: formatAuthorizedKey(host.blob),
        serverPrivateKey: formatPrivateKey(key),
        clientCAPublicKey: formatAuthorizedKey(publicKeyBlob(this.userAuthority)),
      },
    };
  }

  /** A client's keys; its certificate names the gateway. */
  client(options: LeafOptions = {}): Promise<Identity> {
    return this.pki.client({ subject: relayClient(GATEWAY_ID), ...options });
  }
}

/** The subject of a client's certificate toward the relay. */
export function relayClient(gatewayId: string): string {
  return `O=org, OU=relay-client, CN=${gatewayId}`;
}

function validity(): { validAfter: Date; validBefore: Date } {
  const now = Date.now();
  return { validAfter: new Date(now - HOUR), validBefore: new Date(now + HOUR) };
}

/** A relay that runs, and what the platform was asked for. */
export interface RelayFixture extends AsyncDisposable {
  relay: RunningRelay;
  authorities: Authorities;
  /** Calls of its API, in order. */
  calls: string[];
  /** Its authorities from its next registration on; undefined makes that fail. */
  next: Authorities | undefined;
  stop(): Promise<void>;
}

export async function startFixture(options: Partial<RelayOptions> = {}): Promise<RelayFixture> {
  const authorities = await Authorities.create();
  const stop = new AbortController();
  const calls: string[] = [];
  const fixture = { authorities, calls, next: authorities as Authorities | undefined };
  const any = { host: HOST, port: 0 };
  const relay = await startRelay({
    name: "r1",
    host: "localhost",
    type: "org",
    api: {
      registerRelay: ({ sshPort, tlsPort }) => {
        calls.push(sshPort && tlsPort ? "register" : "register without ports");
        if (!fixture.next) return Promise.reject(new Error("the platform is away"));
        return Promise.resolve(fixture.next.registration());
      },
      relayHeartbeat: () => {
        calls.push("heartbeat");
        return Promise.resolve();
      },
    },
    sshListen: any,
    tlsListen: any,
    drainTimeout: 0,
    ...options,
  }, stop.signal);
  const end = async () => {
    stop.abort();
    await relay.finished;
  };
  return Object.assign(fixture, { relay, stop: end, [Symbol.asyncDispose]: end });
}

/** How a gateway comes. */
export interface GatewayOptions {
  user?: Partial<SshCertificateRequest>;
  authorities?: Authorities;
  port?: number;
  host?: string;
  algorithms?: Algorithms;
  /** @default answers each chunk with `<name>:<chunk>` and ends when the other side does */
  onChannel?(channel: Channel): void;
}

/** A gateway at the end of a real SSH session, and the channels that it was given. */
export interface TestGateway {
  session: SshSession;
  channels: Channel[];
  close(): Promise<void>;
}

export async function connectGateway(
  fixture: RelayFixture,
  name: string,
  options: GatewayOptions = {},
): Promise<TestGateway> {
  const { authorities = fixture.authorities, user, onChannel = answering(name) } = options;
  const key = newKey("ed25519");
  const socket = await dial(options.host ?? HOST, options.port ?? fixture.relay.ssh.port);
  const channels: Channel[] = [];
  const session = await connectSsh({
    socket,
    user: GATEWAY_ID,
    certificate: userCertificate(authorities, key, user),
    privateKey: formatPrivateKey(key),
    hostAuthority: formatAuthorizedKey(publicKeyBlob(fixture.authorities.hostAuthority)),
    hostPrincipals: ["localhost:2222"],
    algorithms: options.algorithms,
    onChannel: (channel) => {
      channels.push(channel);
      onChannel(channel);
    },
  });
  return {
    session,
    channels,
    async close() {
      session.close();
      await session.closed;
      if (!socket.destroyed) await once(socket, "close");
    },
  };
}

function userCertificate(
  authorities: Authorities,
  key: KeyObject,
  request: Partial<SshCertificateRequest> = {},
): string {
  const { blob } = issueSshCertificate({
    certType: "user",
    publicKey: key,
    authorityKey: authorities.userAuthority,
    keyId: "client-r1",
    principals: [GATEWAY_ID, "edge"],
    ...validity(),
    ...request,
  });
  return formatAuthorizedKey(blob);
}

function answering(name: string): (channel: Channel) => void {
  return (channel) => {
    channel.on("error", () => {});
    channel.on("data", (chunk: Buffer) => channel.write(`${name}:${chunk}`));
    channel.on("end", () => channel.end());
  };
}

/** A TCP connection that closes when the other side does. */
export async function dial(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

/** One client at the relay's TLS door. */
export class Client {
  readonly tls: TLSSocket;
  /** Everything that came. */
  received = "";
  /** What it ended by: "end", or the error's text. */
  readonly outcome: Promise<string>;
  readonly closed: Promise<void>;
  readonly #watchers = new Set<() => void>();

  /** @param keys none: it shows no certificate */
  constructor(fixture: RelayFixture, keys?: Identity, more: ConnectionOptions = {}) {
    const { pki } = fixture.authorities;
    this.tls = connectTls({
      host: HOST,
      port: fixture.relay.tls.port,
      servername: "localhost",
      ca: pki.root.certificate,
      checkServerIdentity: () => undefined,
      rejectUnauthorized: false,
      ...(keys && { cert: keys.certificate, key: keys.privateKey }),
      ...({ allowHalfOpen: true } as object),
      ...more,
    });
    this.outcome = new Promise((resolve) => {
      this.tls.once("end", () => resolve("end"));
      this.tls.once("error", (error) => resolve(error.message));
      this.tls.once("close", () => resolve("closed"));
    });
    this.tls.on("error", () => {});
    this.closed = new Promise((resolve) => this.tls.once("close", () => resolve()));
    this.tls.on("data", (chunk: Buffer) => {
      this.received += chunk;
      for (const look of [...this.#watchers]) look();
    });
  }

  /** Sends `text` and waits until `answer` came as well. */
  async ask(text: string, answer: string): Promise<void> {
    const before = this.received.length;
    this.tls.write(text);
    const ended = this.outcome.then((outcome) => {
      throw new Error(`ended by "${outcome}" instead of answering`);
    });
    ended.catch(() => {});
    await Promise.race([this.#until(() => this.received.slice(before).includes(answer)), ended]);
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    this.tls.destroy();
    await this.closed;
  }
}
