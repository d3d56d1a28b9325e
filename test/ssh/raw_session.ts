/**
 * A session without manners: it logs in with any certificate, sends what it is told to when it is told
 * to, and can fall deaf or mute in the middle of a key exchange.
 */
// First, as in the program: ssh2 must not be loaded before the seams are in place.
import "../../src/ssh/internals/transport.ts";
import { Buffer } from "node:buffer";
import type { KeyObject } from "node:crypto";
import type { Socket } from "node:net";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import { plainType } from "../../src/certificates/ssh.ts";
import { blobType, defaultSignatureAlgorithm, signSsh } from "../../src/certificates/ssh_key.ts";
import { MESSAGE } from "../../src/ssh/message.ts";
import { Session, type SessionOptions } from "../../src/ssh/session.ts";
import { byte, string } from "../../src/ssh/wire.ts";
import { GATEWAY_ID } from "./pair.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** Until it is disposed of, every protocol of ssh2's that is made. */
export function captureProtocols(): Disposable & { made: Any[] } {
  const { prototype } = Protocol as unknown as { prototype: { _compatFlags?: unknown } };
  const made: Any[] = [];
  Object.defineProperty(prototype, "_compatFlags", {
    configurable: true,
    set(value) {
      made.push(this);
      Object.defineProperty(this, "_compatFlags", { value, writable: true, configurable: true });
    },
  });
  return { made, [Symbol.dispose]: () => delete prototype._compatFlags };
}

export interface RawOptions extends Partial<SessionOptions> {
  user?: string;
  certificate: Uint8Array;
  key: KeyObject;
  /** @default the one that fits the certificate */
  algorithm?: string;
  /** @default the one that fits the key */
  signature?: string;
  /** Takes what comes after the login, instead of a connection. */
  onMessage?(payload: Buffer): void;
}

export interface RawSession {
  session: Session;
  socket: Socket;
  protocol: Any;
  /** Resolves with true if the login is accepted, false if it is refused; rejects if the session ends. */
  login: Promise<boolean>;
  /** Encrypts and sends a payload although keys are being exchanged. */
  sendNow(payload: Uint8Array): void;
  /** From now on nothing that comes is read. */
  deafen(): void;
  /** From now on nothing is sent. */
  mute(): void;
}

/** A client that takes any host for the right one. */
export function rawSession(socket: Socket, options: RawOptions): RawSession {
  const { certificate, key, user = GATEWAY_ID, onMessage, ...more } = options;
  using captured = captureProtocols();
  const session = new Session({ role: "client", socket, verifyHostKey: () => {}, ...more });
  const [protocol] = captured.made;
  const plain = defaultSignatureAlgorithm(plainType(blobType(certificate)));
  const request = () => {
    const body = Buffer.concat([
      byte(MESSAGE.userauthRequest),
      ...[user, "ssh-connection", "publickey"].map(string),
      byte(1),
      string(options.algorithm ?? `${plain}-cert-v01@openssh.com`),
      string(certificate),
    ]);
    const signed = Buffer.concat([string(session.sessionId), body]);
    return Buffer.concat([body, string(signSsh(key, signed, options.signature))]);
  };
  const login = new Promise<boolean>((resolve, reject) => {
    session.closed.then((reason) => reject(reason ?? new Error("closed")));
    session.start({
      onReady: () => session.send(byte(5), string("ssh-userauth")),
      onServiceAccept: () => session.send(request()),
      onMessage: (payload) => {
        if (payload[0] === MESSAGE.userauthSuccess) {
          if (!onMessage) session.authenticated();
          resolve(true);
        } else if (payload[0] === MESSAGE.userauthFailure) resolve(false);
        else onMessage?.(payload);
      },
    }).catch(reject);
  });
  login.catch(() => {});
  return {
    session,
    socket,
    protocol,
    login,
    sendNow: (payload) => {
      const packet = protocol._cipher.allocPacket(payload.length);
      packet.set(payload, 5);
      protocol._cipher.encrypt(packet);
    },
    deafen: () => protocol.parse = () => {},
    mute: () => {
      socket.write = () => true;
    },
  };
}
