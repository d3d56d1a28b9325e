/** A relay's SSH side and a gateway's, over loopback, with certificates of their own. */
import type { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { issueSshCertificate, type SshCertificateRequest } from "../../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../../src/certificates/ssh_key.ts";
import type { SallyportError } from "../../src/errors.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import { connectSsh, type ConnectSshOptions, type SshSession } from "../../src/ssh/client.ts";
import { acceptSsh, type AcceptSshOptions, type GatewaySession } from "../../src/ssh/server.ts";

export const KEY_TYPES = ["rsa", "ecdsa", "ed25519"] as const;
export type KeyType = (typeof KEY_TYPES)[number];
export const GATEWAY_ID = "11111111-1111-4111-8111-111111111111";

const HOUR = 3_600_000;
const rsaKeys: KeyObject[] = [];
let nextRsa = 0;

/** A private key. RSA keys are slow to make, so eight of them take turns. */
export function newKey(type: KeyType): KeyObject {
  if (type === "ecdsa") return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  if (type === "ed25519") return generateKeyPairSync("ed25519").privateKey;
  const at = nextRsa++ % 8;
  return rsaKeys[at] ??= generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
}

/** What a test may want different from a pair that works. */
export interface PairOptions {
  keys?: KeyType;
  /** The relay's, if the test needs to know them. */
  hostKeys?: { authority: KeyObject; key: KeyObject };
  host?: Partial<SshCertificateRequest>;
  user?: Partial<SshCertificateRequest>;
  server?: Partial<AcceptSshOptions>;
  client?: Partial<ConnectSshOptions>;
  onChannel?: (channel: Channel) => void;
  /** How the gateway connects to the relay's port. @default directly */
  connect?: (port: number) => Promise<Socket>;
}

/** Both ends of one attempt; `close` frees everything. */
export interface Pair {
  /** The relay's session, or why it did not come to be. */
  server: Promise<GatewaySession>;
  /** The gateway's. */
  client: Promise<SshSession>;
  /** Why the relay refused certificates, in order. */
  refusals: SallyportError[];
  /** What the gateway logs in with. */
  credentials: { certificate: Buffer; key: KeyObject };
  /** The port that the relay's side listens on, for one connection. */
  port: number;
  close(): Promise<void>;
  /** As `close`, for a pair whose gateway never connects. */
  closeServer(): Promise<void>;
}

function validity(): { validAfter: Date; validBefore: Date } {
  return { validAfter: new Date(Date.now() - HOUR), validBefore: new Date(Date.now() + HOUR) };
}

/** Starts both ends. */
export async function pair(options: PairOptions = {}): Promise<Pair> {
  const keys = options.keys ?? "ed25519";
  const { authority: hostAuthority, key: hostKey } = options.hostKeys ??
    { authority: newKey(keys), key: newKey(keys) };
  const [userAuthority, userKey] = [newKey(keys), newKey(keys)];
  const refusals: SallyportError[] = [];
  const host = issueSshCertificate({
    certType: "host",
    publicKey: hostKey,
    authorityKey: hostAuthority,
    keyId: "relay-server",
    principals: ["relay.test:2222"],
    ...validity(),
    ...options.host,
  });
  const user = issueSshCertificate({
    certType: "user",
    publicKey: userKey,
    authorityKey: userAuthority,
    keyId: "client-r1",
    principals: [GATEWAY_ID, "edge"],
    ...validity(),
    ...options.user,
  });
  const { server, socket, port } = await listenOnce();
  const accepted = socket.then((socket) =>
    acceptSsh({
      socket,
      host: { certificate: host.blob, privateKey: hostKey },
      userAuthority: publicKeyBlob(userAuthority),
      keyId: "client-r1",
      onRefused: (error) => refusals.push(error),
      ...options.server,
    })
  );
  const connected = (options.connect ?? connectTo)(port).then((socket) =>
    connectSsh({
      socket,
      user: GATEWAY_ID,
      certificate: formatAuthorizedKey(user.blob),
      privateKey: formatPrivateKey(userKey),
      hostAuthority: formatAuthorizedKey(publicKeyBlob(hostAuthority)),
      hostPrincipals: ["relay.test:2222", "relay.test"],
      onChannel: options.onChannel ?? ((channel) => channel.destroy()),
      ...options.client,
    })
  );
  accepted.catch(() => {});
  connected.catch(() => {});
  const closeServer = async () => {
    server.close();
    await once(server, "close");
  };
  return {
    server: accepted,
    client: connected,
    refusals,
    credentials: { certificate: user.blob, key: userKey },
    port,
    closeServer,
    close: async () => {
      for (const end of await Promise.allSettled([accepted, connected])) {
        if (end.status !== "fulfilled") continue;
        end.value.close();
        await end.value.closed;
      }
      await closeServer();
    },
  };
}

/** A listener on a free loopback port and the first connection that it gets. */
export async function listenOnce(host = "127.0.0.1"): Promise<
  { server: Server; socket: Promise<Socket>; port: number }
> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  const socket = once(server, "connection").then(([socket]) => socket as Socket);
  server.listen(0, host);
  await once(server, "listening");
  return { server, socket, port: (server.address() as AddressInfo).port };
}

/** A connected socket, as egress/dial.ts would give it. */
export async function connectTo(port: number, host = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** All bytes of a stream, until its end. */
export async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
