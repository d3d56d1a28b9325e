/**
 * The relay's side of SSH: one session of a gateway that shows a user certificate (protocol.md,
 * "SSH"). The relay opens channels toward the gateway and accepts none.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import {
  isCertificateType,
  parseSshCertificate,
  plainType,
  type SshCertificate,
  verifySshCertificate,
} from "../certificates/ssh.ts";
import { blobType, signatureFits, verifySsh } from "../certificates/ssh_key.ts";
import { SallyportError } from "../errors.ts";
import { type Algorithms, type Negotiated, whatIsOld } from "./algorithms.ts";
import type { Channel } from "./channel.ts";
import type { HostCredentials } from "./internals/host_keys.ts";
import { DISCONNECT, MESSAGE } from "./message.ts";
import { readable } from "./readable.ts";
import { type Keepalive, type Rekeying, Session, type SessionOptions } from "./session.ts";
import { byte, string, WireReader } from "./wire.ts";

/** As sshd's MaxAuthTries, but stricter: a gateway has one key. */
const MAX_TRIES = 3;
/**
 * Messages that a login may take in all: asking for the service, for the methods ("none"), and for each
 * try the question whether the certificate would do. All but one are no tries, and cost us an answer or a
 * certificate's verification.
 */
const MAX_MESSAGES = 2 + 2 * MAX_TRIES;
const NOTHING_SHOWN = new SallyportError("ssh-authentication", "no certificate was shown");

/** What a relay needs to admit a gateway. */
export interface AcceptSshOptions {
  /** Owned by the session from now on. */
  socket: Socket;
  host: HostCredentials;
  /** Plain blob of the only authority whose user certificates are accepted. */
  userAuthority: Uint8Array;
  /** Key id that certificates for this relay carry: `client-<relayName>`. */
  keyId: string;
  /** @default every 10 s, answered within 10 s */
  keepalive?: Keepalive;
  /** @default 2048 */
  maxChannels?: number;
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
  /** As the session's. */
  pace?: SessionOptions["pace"];
  /** Why a gateway must not come in although its certificate is good. @default it may */
  refusal?(gatewayId: string): SallyportError | undefined;
  /** Told why a certificate was refused, for the log. */
  onRefused?(error: SallyportError): void;
}

/** An authenticated session of a gateway. */
export interface GatewaySession {
  /** The gateway's id: its user name, which its certificate vouches for. */
  readonly gatewayId: string;
  readonly certificate: SshCertificate;
  /** What was agreed on in the last key exchange. */
  readonly algorithms: Negotiated;
  /** Its identification line, and what of the algorithms is old (algorithms.ts); for the log. */
  readonly software: string;
  readonly old: string | undefined;
  /** Resolves when it is over: with the reason, or undefined if `close` ended it. */
  readonly closed: Promise<SallyportError | undefined>;
  readonly channels: number;
  /** Round trip to the gateway, ms. */
  ping(signal?: AbortSignal): Promise<number>;
  /** Opens a channel toward the gateway. */
  open(signal?: AbortSignal): Promise<Channel>;
  rekey(): void;
  /** Ends it, telling the gateway one of RFC 4253's reasons. */
  close(reason?: number): void;
}

/**
 * Performs handshake and authentication of one gateway. Rejects with the reason if it does not get
 * that far; the socket is closed then.
 */
export function acceptSsh(options: AcceptSshOptions): Promise<GatewaySession> {
  const { socket, host, signal } = options;
  const session = new Session({
    role: "server",
    socket,
    host,
    keepalive: options.keepalive,
    maxChannels: options.maxChannels,
    algorithms: options.algorithms,
    rekeyBytes: options.rekeyBytes,
    rekeying: options.rekeying,
    pace: options.pace,
  });
  let tries = 0;
  let messages = 0;
  let empty = 0;
  const count = () => {
    if (++messages <= MAX_MESSAGES) return;
    throw new SallyportError("ssh-authentication", `no login within ${MAX_MESSAGES} messages`);
  };
  return new Promise((resolve, reject) => {
    const abort = () => {
      session.fail(
        new SallyportError("timeout", "the gateway did not authenticate in time"),
        DISCONNECT.byApplication,
      );
    };
    signal?.addEventListener("abort", abort, { once: true });
    const settle = () => signal?.removeEventListener("abort", abort);
    session.closed.then((reason) => {
      settle();
      reject(reason ?? new SallyportError("ssh-closed", "session closed"));
    });
    session.start({
      onReady: () => {},
      onServiceRequest: (name) => {
        count();
        if (name !== "ssh-userauth") {
          return session.fail(new SallyportError("ssh-protocol", `service "${name}" before login`));
        }
        session.send(byte(6), string(name));
      },
      onMessage: (payload) => {
        count();
        if (payload[0] !== MESSAGE.userauthRequest) {
          throw new SallyportError(
            "ssh-protocol",
            `SSH message ${payload[0]} before authentication`,
          );
        }
        const outcome = judge(payload, session, options);
        if (outcome.verdict === "accepted") {
          settle();
          session.send(byte(MESSAGE.userauthSuccess));
          session.authenticated();
          return resolve(gatewaySession(session, outcome.user, outcome.certificate));
        }
        if (outcome.verdict === "would-do") {
          return session.send(
            byte(MESSAGE.userauthPkOk),
            string(outcome.algorithm),
            string(outcome.blob),
          );
        }
        if (outcome.error) options.onRefused?.(readable(outcome.error));
        // The "none" request that clients begin with is not a try; a later one is.
        const failed = outcome.error ?? (++empty > 1 ? NOTHING_SHOWN : undefined);
        if (failed && ++tries >= MAX_TRIES) {
          return session.fail(failed, DISCONNECT.noMoreAuthMethods);
        }
        session.send(byte(MESSAGE.userauthFailure), string("publickey"), byte(0));
      },
    }).catch(reject);
    if (signal?.aborted) abort();
  });
}

function gatewaySession(
  session: Session,
  gatewayId: string,
  certificate: SshCertificate,
): GatewaySession {
  const { ident = "", strict = false } = session.peerOffer ?? {};
  return {
    gatewayId,
    software: ident,
    old: whatIsOld(session.negotiated!, strict),
    certificate,
    get algorithms() {
      return session.negotiated!;
    },
    closed: session.closed,
    get channels() {
      return session.connection.channels;
    },
    ping: (signal) => session.ping(signal),
    open: (signal) => session.connection.open(signal),
    rekey: () => session.rekey(),
    close: (reason) => session.close(reason),
  };
}

type Judgement =
  | { verdict: "accepted"; user: string; certificate: SshCertificate }
  | { verdict: "would-do"; algorithm: string; blob: Buffer }
  | { verdict: "refused"; error?: SallyportError };

/** Judges one USERAUTH_REQUEST (RFC 4252 §5, §7). */
function judge(payload: Buffer, session: Session, options: AcceptSshOptions): Judgement {
  const reader = new WireReader(payload, "USERAUTH_REQUEST", 1);
  const user = reader.name("user");
  const service = reader.text("service");
  const method = reader.text("method");
  if (service !== "ssh-connection") {
    throw new SallyportError("ssh-protocol", `login for service "${service}"`);
  }
  if (method === "none") return { verdict: "refused" };
  if (method !== "publickey") return refuse(`method "${method}" is not offered`);
  const signed = reader.boolean("has signature");
  const algorithm = reader.text("algorithm");
  const blob = reader.bytes("key");
  if (!isCertificateType(algorithm) || !isCertificateType(tryType(blob))) {
    return refuse(`a ${algorithm} key without a certificate is not accepted`);
  }
  try {
    const certificate = admit(user, blob, algorithm, options);
    if (!signed) return { verdict: "would-do", algorithm, blob };
    const covered = Buffer.concat([
      string(session.sessionId),
      payload.subarray(0, reader.position),
    ]);
    const signature = reader.bytes("signature");
    reader.end();
    if (!verifySsh(certificate.publicKey, covered, signature, plainType(algorithm))) {
      return refuse("the signature over the login request does not hold");
    }
    return { verdict: "accepted", user, certificate };
  } catch (error) {
    if (error instanceof SallyportError) return { verdict: "refused", error };
    throw error;
  }
}

function tryType(blob: Buffer): string {
  try {
    return blobType(blob);
  } catch {
    return "";
  }
}

function refuse(message: string): Judgement {
  return { verdict: "refused", error: new SallyportError("ssh-authentication", message) };
}

/** Throws unless the certificate entitles `user` to join this relay now. */
function admit(
  user: string,
  blob: Buffer,
  algorithm: string,
  { userAuthority, keyId, now, refusal }: AcceptSshOptions,
): SshCertificate {
  const certificate = parseSshCertificate(blob);
  if (!signatureFits(plainType(algorithm), plainType(certificate.keyType))) {
    throw new SallyportError(
      "ssh-authentication",
      `algorithm ${algorithm} does not fit a ${certificate.keyType}`,
    );
  }
  verifySshCertificate(certificate, {
    certType: "user",
    authority: userAuthority,
    principals: [user],
    now: now?.() ?? new Date(),
  });
  // A gateway's name is a principal too and could be made to look like another gateway's id: only the
  // first one, which the platform sets to the id, says who it is.
  if (certificate.principals[0] !== user) {
    throw new SallyportError(
      "certificate-principal",
      `user certificate "${certificate.keyId}" is for ${
        certificate.principals[0]
      }, not for ${user}`,
    );
  }
  if (certificate.keyId !== keyId) {
    throw new SallyportError(
      "certificate-key-id",
      `certificate "${certificate.keyId}" is for another relay; this one is "${keyId}"`,
    );
  }
  const refused = refusal?.(user);
  if (refused) throw refused;
  return certificate;
}
