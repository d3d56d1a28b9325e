/** One visit: our gateway at OpenSSH's sshd, or OpenSSH's ssh at our relay's SSH side. */
import type { KeyObject } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { issueSshCertificate, type SshCertificateRequest } from "../../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../../src/certificates/ssh_key.ts";
import type { SallyportError } from "../../src/errors.ts";
import { connectSsh, type ConnectSshOptions, type SshSession } from "../../src/ssh/client.ts";
import { acceptSsh, type AcceptSshOptions, type GatewaySession } from "../../src/ssh/server.ts";
import { GATEWAY_ID, type KeyType, listenOnce, newKey } from "../ssh/pair.ts";
import { temporaryFolder } from "../temporary.ts";
import {
  HOST,
  type Program,
  type SshdOptions,
  startSsh,
  startSshd,
  USER,
  writeKey,
  writeLine,
} from "./openssh_program.ts";

const HOUR = 3_600_000;
/** What our relay's certificate is for. */
export const RELAY = "relay.test:2222";

/** Somebody between both: takes the port that is connected to, gives its own. */
export type Between = (port: number) => Promise<AsyncDisposable & { port: number }>;

/** The certificate that a platform issues, with what a test wants different. */
export function issue(
  certType: "user" | "host",
  publicKey: KeyObject,
  authorityKey: KeyObject,
  over: Partial<SshCertificateRequest> = {},
) {
  const user = certType === "user";
  return issueSshCertificate({
    certType,
    publicKey,
    authorityKey,
    keyId: user ? "client-r1" : "relay-server",
    principals: user ? [GATEWAY_ID, "edge"] : [RELAY],
    validAfter: new Date(Date.now() - HOUR),
    validBefore: new Date(Date.now() + HOUR),
    extensions: user ? { "permit-port-forwarding": "" } : {},
    ...over,
  });
}

/** Keys of both sides and of their authorities, and what these certify. */
function certify({ keys = "ed25519", host, user }: Pick<SshdCase, "keys" | "host" | "user">) {
  const make = () => newKey(keys);
  const [hostAuthority, hostKey, userAuthority, userKey] = [make(), make(), make(), make()];
  return {
    hostAuthority,
    hostKey,
    userAuthority,
    userKey,
    host: issue("host", hostKey, hostAuthority, host),
    user: issue("user", userKey, userAuthority, user),
  };
}

export interface SshdCase {
  keys?: KeyType;
  host?: Partial<SshCertificateRequest>;
  user?: Partial<SshCertificateRequest>;
  /** False: sshd has a raw key and no certificate. */
  certified?: boolean;
  sshd?: Partial<SshdOptions>;
  between?: Between;
}

export interface Attempt {
  connect(over?: Partial<ConnectSshOptions>): Promise<SshSession>;
  sshd: Program;
  /** The last socket. */
  socket(): Socket;
}

/** An sshd with a host certificate, and our client's credentials for it. */
export async function withSshd(
  given: SshdCase,
  run: (attempt: Attempt) => Promise<void>,
): Promise<void> {
  await using folder = await temporaryFolder();
  const { certified = true } = given;
  const { hostAuthority, hostKey, userAuthority, userKey, host, user } = certify(given);
  await using sshd = await startSshd({
    folder: folder.path,
    hostKeys: [await writeKey(join(folder.path, "host"), formatPrivateKey(hostKey))],
    hostCertificates: certified
      ? [await writeLine(join(folder.path, "host-cert.pub"), host.blob)]
      : [],
    userAuthority,
    principals: [GATEWAY_ID],
    ...given.sshd,
  });
  await using between = await given.between?.(sshd.port);
  const port = between?.port ?? sshd.port;
  let socket: Socket | undefined;
  await run({
    sshd,
    socket: () => socket!,
    connect: async (over) => {
      socket = connect({ host: HOST, port, allowHalfOpen: true, noDelay: true });
      await once(socket, "connect");
      return await connectSsh({
        socket,
        user: USER,
        certificate: formatAuthorizedKey(user.blob),
        privateKey: formatPrivateKey(userKey),
        hostAuthority: formatAuthorizedKey(publicKeyBlob(hostAuthority)),
        hostPrincipals: [RELAY, "relay.test"],
        onChannel: (channel) => channel.destroy(),
        ...over,
      });
    },
  }).catch((error) => {
    // Or sshd's process for this connection would outlive it, and the test wait for its output.
    socket?.destroy();
    throw new Error(`sshd wrote:\n${sshd.log}`, { cause: error });
  });
}

/** Not `once` of node:events, which fails if sshd resets the connection as it goes. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) =>
    socket.closed ? resolve() : socket.once("close", () => resolve())
  );
}

export interface SshCase {
  keys?: KeyType;
  host?: Partial<SshCertificateRequest>;
  user?: Partial<SshCertificateRequest>;
  /** False: ssh shows its raw key. */
  certified?: boolean;
  /** The name that ssh believes to talk to. */
  name?: string;
  more?: string[];
  between?: Between;
  /** What our relay is told beside the usual. */
  accept?: Partial<AcceptSshOptions>;
}

export interface Visit {
  relay: Promise<GatewaySession>;
  ssh: Program;
  refusals: SallyportError[];
  /** Our end. */
  socket: Promise<Socket>;
}

/** Our relay's SSH side for one visit of ssh. */
export async function withSsh(given: SshCase, run: (visit: Visit) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder();
  const { hostAuthority, hostKey, userAuthority, userKey, host, user } = certify(given);
  const { server, socket, port } = await listenOnce(HOST);
  const refusals: SallyportError[] = [];
  const relay = socket.then((socket) =>
    acceptSsh({
      socket,
      host: { certificate: host.blob, privateKey: hostKey },
      userAuthority: publicKeyBlob(userAuthority),
      keyId: "client-r1",
      onRefused: (error) => refusals.push(error),
      ...given.accept,
    })
  );
  relay.catch(() => {});
  try {
    await using between = await given.between?.(port);
    const path = (name: string) => join(folder.path, name);
    await using ssh = startSsh({
      port: between?.port ?? port,
      user: GATEWAY_ID,
      host: given.name ?? RELAY,
      knownHosts: await writeLine(
        path("known_hosts"),
        publicKeyBlob(hostAuthority),
        "@cert-authority * ",
      ),
      identity: await writeKey(path("id"), formatPrivateKey(userKey)),
      certificate: given.certified === false
        ? undefined
        : await writeLine(path("id-cert.pub"), user.blob),
      more: given.more,
    });
    await run({ relay, ssh, refusals, socket });
  } finally {
    await relay.then(async (session) => {
      session.close();
      await session.closed;
    }, () => {});
    await closed(await socket);
    server.close();
    await once(server, "close");
  }
}
