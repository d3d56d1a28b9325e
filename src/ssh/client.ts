/**
 * The gateway's side of SSH: one session toward a relay, authenticated with a user certificate
 * (protocol.md, "SSH"); the relay proves itself with a host certificate.
 */
import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import type { Socket } from "node:net";
import {
  isCertificateType,
  parseSshCertificate,
  plainType,
  verifySshCertificate,
} from "../certificates/ssh.ts";
import {
  blobType,
  defaultSignatureAlgorithm,
  parseAuthorizedKey,
  parsePrivateKey,
  publicKeyBlob,
  signSsh,
} from "../certificates/ssh_key.ts";
import { SallyportError } from "../errors.ts";
import type { Algorithms } from "./algorithms.ts";
import type { Channel } from "./channel.ts";
import { DISCONNECT, MESSAGE } from "./message.ts";
import type { ChannelLimit } from "./connection.ts";
import { type Keepalive, type Rekeying, Session } from "./session.ts";
import { byte, string, WireReader } from "./wire.ts";

/** What a gateway needs to join a relay. */
export interface ConnectSshOptions {
  /** Connected to the relay; owned by the session from now on. */
  socket: Socket;
  /** The gateway's id. */
  user: string;
  /** User certificate, as an authorized_keys line. */
  certificate: string;
  /** Its private key, PEM. */
  privateKey: string;
  /** The only authority whose host certificates are trusted, as an authorized_keys line. */
  hostAuthority: string;
  /** The relay's certificate must name one of these, for example `relay.example:2222`. */
  hostPrincipals: string[];
  /** Takes every channel that the relay opens. */
  onChannel(channel: Channel): void;
  /** @default every 10 s, answered within 10 s */
  keepalive?: Keepalive;
  /** @default 2048 */
  maxChannels?: ChannelLimit;
  /** Aborts the handshake; afterwards it has no effect. */
  signal?: AbortSignal;
  /** @default () => new Date() */
  now?: () => Date;
  /** @default ALGORITHMS */
  algorithms?: Algorithms;
  /** New keys after this many bytes. @default 2 ** 30 */
  rekeyBytes?: number;
  /** @default after an hour, within five minutes */
  rekeying?: Rekeying;
}

/** An authenticated session with a relay. */
export interface SshSession {
  /** Resolves when it is over: with the reason, or undefined if `close` ended it. */
  readonly closed: Promise<SallyportError | undefined>;
  /** Channels open now. */
  readonly channels: number;
  /** Bytes on the socket, both encryption layers included. */
  readonly traffic: { received: number; sent: number };
  /** Round trip of the last keepalive, ms; undefined before the first. */
  readonly latency?: number;
  /** Round trip to the relay, ms. */
  ping(signal?: AbortSignal): Promise<number>;
  /** Exchanges new keys now. */
  rekey(): void;
  /** Ends it. */
  close(): void;
}

/**
 * Performs handshake and authentication. Rejects with `host-key-raw` or `certificate-*` if the relay
 * is not the one that the platform vouches for, `ssh-authentication` if it refuses us,
 * `key-malformed` if our own credentials do not fit, `ssh-closed` or `ssh-protocol` otherwise.
 */
export async function connectSsh(options: ConnectSshOptions): Promise<SshSession> {
  const credentials = readCredentials(options);
  const authority = parseAuthorizedKey(options.hostAuthority).blob;
  const session = new Session({
    role: "client",
    socket: options.socket,
    keepalive: options.keepalive,
    maxChannels: options.maxChannels,
    algorithms: options.algorithms,
    rekeyBytes: options.rekeyBytes,
    rekeying: options.rekeying,
    onOpen: (channel) => options.onChannel(channel),
    verifyHostKey: (blob) => verifyHost(blob, authority, options),
  });
  await authenticate(session, options.user, credentials, options.signal);
  return {
    closed: session.closed,
    get channels() {
      return session.connection.channels;
    },
    get traffic() {
      return session.traffic;
    },
    get latency() {
      return session.latency;
    },
    ping: (signal) => session.ping(signal),
    rekey: () => session.rekey(),
    close: () => session.close(),
  };
}

interface Credentials {
  certificate: Buffer;
  key: KeyObject;
}

function readCredentials(options: ConnectSshOptions): Credentials {
  try {
    const { blob } = parseAuthorizedKey(options.certificate);
    const certificate = parseSshCertificate(blob);
    const key = parsePrivateKey(options.privateKey);
    if (!publicKeyBlob(key).equals(certificate.publicKey)) {
      throw new SallyportError(
        "key-malformed",
        "private key and SSH certificate do not belong together",
      );
    }
    return { certificate: blob, key };
  } catch (error) {
    options.socket.destroy();
    throw error;
  }
}

/** Throws unless the host key is a certificate of the one authority, for the relay, valid now. */
export function verifyHost(
  blob: Buffer,
  authority: Buffer,
  options: Pick<ConnectSshOptions, "hostPrincipals" | "now">,
): void {
  if (!isCertificateType(blobType(blob))) {
    throw new SallyportError(
      "host-key-raw",
      `the relay shows a raw ${blobType(blob)} host key, not a certificate`,
      { hint: "the relay must present a host certificate signed by the platform" },
    );
  }
  verifySshCertificate(parseSshCertificate(blob), {
    certType: "host",
    authority,
    principals: options.hostPrincipals,
    now: options.now?.() ?? new Date(),
  });
}

function authenticate(
  session: Session,
  user: string,
  credentials: Credentials,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      session.fail(
        signal?.reason instanceof SallyportError
          ? signal.reason
          : new SallyportError("timeout", "SSH handshake with the relay took too long"),
        DISCONNECT.byApplication,
      );
    };
    signal?.addEventListener("abort", abort, { once: true });
    const settle = () => signal?.removeEventListener("abort", abort);
    session.closed.then((reason) => {
      settle();
      reject(reason ?? new SallyportError("ssh-closed", "session closed"));
    });
    let granted = false;
    session.start({
      onReady: () => session.send(byte(5), string("ssh-userauth")),
      onServiceAccept: () => {
        // Each one would make us sign again.
        if (granted) throw new SallyportError("ssh-protocol", "a service is granted twice");
        granted = true;
        session.send(...authenticationRequest(session, user, credentials));
      },
      onMessage: (payload) => {
        switch (payload[0]) {
          case MESSAGE.userauthSuccess:
            settle();
            session.authenticated();
            return resolve();
          case MESSAGE.userauthFailure:
            return session.fail(refused(payload), DISCONNECT.noMoreAuthMethods);
          case MESSAGE.userauthBanner:
            return;
          default:
            throw new SallyportError(
              "ssh-protocol",
              `SSH message ${payload[0]} before authentication`,
            );
        }
      },
    }).catch(reject);
    if (signal?.aborted) abort();
  });
}

function refused(payload: Buffer): SallyportError {
  const methods = new WireReader(payload, "USERAUTH_FAILURE", 1).text("methods");
  return new SallyportError(
    "ssh-authentication",
    `the relay refuses this gateway's certificate (it offers: ${methods || "nothing"})`,
    { hint: "the certificate may be for another relay or too old; a new one is asked for" },
  );
}

/** RFC 4252 §7, with a certificate's algorithm name and the plain one inside the signature. */
function authenticationRequest(session: Session, user: string, credentials: Credentials): Buffer[] {
  const { certificate, key } = credentials;
  const plain = defaultSignatureAlgorithm(plainType(blobType(certificate)));
  const request = Buffer.concat([
    byte(MESSAGE.userauthRequest),
    string(user),
    string("ssh-connection"),
    string("publickey"),
    byte(1),
    string(`${plain}-cert-v01@openssh.com`),
    string(certificate),
  ]);
  const signature = signSsh(key, Buffer.concat([string(session.sessionId), request]), plain);
  return [request, string(signature)];
}
