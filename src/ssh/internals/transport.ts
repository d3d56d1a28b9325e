/**
 * The SSH transport (RFC 4253) over ssh2's Protocol class: identification, key exchange with host
 * certificates, encryption, rekeying. What lies above it (RFC 4252, RFC 4254) is ours: messages 50
 * and up are handed to `onMessage` as bytes and sent with `send`.
 *
 * This folder is the only place that touches ssh2's private parts. The seams, each guarded by
 * test/ssh/internals_test.ts:
 *  1. the key parser's `parseDERKey` (certificate_host_keys.ts);
 *  2. `protocol._kex`, the key exchange of the moment: the host key algorithm it negotiated is
 *     rewritten (seam 2 below) so that certificates pass ssh2's own comparisons;
 *  3. `protocol._onPayload`, which ssh2 gives to each decipher it makes: ours takes messages >= 50;
 *  4. sending: `_packetRW.write` and `sendPacket`, as ssh2's own senders use them;
 *  5. `protocol._kexinit`, which is set while keys are exchanged;
 *  6. `_kex.remoteExtInfoEnabled`, set to false on a server: ssh2's EXT_INFO lacks a comma between
 *     two algorithm names, so we send our own;
 *  7. the makers of ciphers (fast_cipher.ts), and `protocol._cipher` and `_decipher`, those in use;
 *  8. `protocol._offer`, replaced before our KEXINIT is made if the server does not exchange keys
 *     strictly; and `protocol._strictMode`, which says whether the peer does;
 *  9. `_decipher._onPayload` during a key exchange, which is stricter than ssh2's in the first one and
 *     laxer in the others (key_exchange.ts);
 * 10. `_kex.computeSecret` of the finite field groups, to which degenerate public values are refused
 *     (key_exchange.ts);
 * 11. `_kex.generateKeys` of these groups, and `_dh` and `_public`, which it sets (key_exchange.ts).
 */
import "./certificate_host_keys.ts";
import "./fast_cipher.ts";
import { Buffer } from "node:buffer";
import cryptoParts from "ssh2/lib/protocol/crypto.js";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import kexParts from "ssh2/lib/protocol/kex.js";
import protocolUtils from "ssh2/lib/protocol/utils.js";
import { plainType } from "../../certificates/ssh.ts";
import { SallyportError } from "../../errors.ts";
import {
  type Algorithms,
  type Negotiated,
  unsafeWithoutStrictness,
  withoutStrictness,
} from "../algorithms.ts";
import { ChaChaPolyCipher, ChaChaPolyDecipher } from "../cipher/chacha_poly.ts";
import { INPUT } from "../cipher/engine.ts";
import { disagreement } from "../disagreement.ts";
import { DISCONNECT } from "../message.ts";
import { Opening, type PeerOffer } from "../opening.ts";
import { byte, string, uint32 } from "../wire.ts";
import {
  certificateAlgorithms,
  type HostCredentials,
  hostKeyTable,
  replyBlobType,
  sameKey,
} from "./host_keys.ts";
import {
  type ExchangeDecipher,
  guardSecret,
  shortenExponent,
  watchExchange,
} from "./key_exchange.ts";
import type { Kex, Ssh2Protocol } from "./ssh2_protocol.ts";

const KEXDH_REPLY = 31;
const EXT_INFO = 7;
const FIRST_MESSAGE_OF_OURS = 50;
/** RFC 4253 §9: new keys after a gigabyte, counting both ways. */
const REKEY_BYTES = 2 ** 30;
/** What may wait for new keys: channels do not write meanwhile, but answers and their like do. */
const MAX_WAITING = { messages: 16_384, bytes: 8 * 2 ** 20 };

const SERVER_SIGNATURE_ALGORITHMS = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
].join(",");

/** What a transport reports, in the order in which it happens. */
export interface TransportEvents {
  /** Bytes for the socket. They are valid only until this returns: who keeps them copies them. */
  onWrite(data: Uint8Array): void;
  /** A key exchange is complete; `first` is false for a rekey. */
  onReady(first: boolean): void;
  /**
   * A key exchange has begun, not the first; `byPeer` if only the other side has asked for it. Throws to
   * end the session.
   */
  onExchange?(byPeer: boolean): void;
  /** What one message of a later key exchange cost, ms. */
  onExchangeCost?(time: number): void;
  /**
   * A message of the authentication or connection protocol (numbers 50 and up). Its bytes are valid
   * only until `onReceived`: who keeps them copies them.
   */
  onMessage(payload: Buffer): void;
  /** Everything that came together has been reported. */
  onReceived?(): void;
  /** The other side asks for a service (RFC 4253 §10); servers only. */
  onServiceRequest?(name: string): void;
  /** A service asked for is granted; clients only. */
  onServiceAccept?(name: string): void;
  /** The other side has said goodbye. */
  onDisconnect(reason: number, description: string): void;
  /** The transport cannot go on. Nothing is sent or reported afterwards. */
  onError(error: Error): void;
}

/** How a transport is set up. */
export interface TransportOptions {
  role: "client" | "server";
  algorithms: Algorithms;
  /** Software version for the identification line, without spaces. */
  ident: string;
  events: TransportEvents;
  /** Clients: decides on the host key blob; throws to refuse. */
  verifyHostKey?(blob: Buffer): void;
  /** Servers. */
  host?: HostCredentials;
  /** New keys after this many bytes. @default 2 ** 30 */
  rekeyBytes?: number;
  /** Whether keys may be exchanged again at this moment. @default always */
  mayRekey?(): boolean;
}

/** Resolves when ssh2's WebAssembly parts are compiled; a transport must not start before. */
export const transportReady: Promise<void> = (cryptoParts as { init: Promise<void> }).init;

/** One SSH transport over bytes; it owns no socket. */
export class Transport {
  readonly #ident: string;
  readonly #make: () => Ssh2Protocol;
  /** A server makes it when a client has said that it speaks SSH: strangers who do not are to cost little. */
  #protocol!: Ssh2Protocol;
  readonly #events: TransportEvents;
  readonly #role: "client" | "server";
  #ready = false;
  #dead = false;
  #refusal: Error | undefined;
  readonly #algorithms: Algorithms;
  #opening: Opening | undefined;
  #offer: PeerOffer | undefined;
  #bytesSinceKeys = 0;
  #waiting = { messages: 0, bytes: 0 };
  #hostKey: Buffer | undefined;
  /** The key exchange that goes on was our wish. */
  #asked = false;
  readonly #rekeyBytes: number;
  readonly #mayRekey: () => boolean;

  constructor(options: TransportOptions) {
    const { role, algorithms, ident, events, verifyHostKey, host } = options;
    this.#rekeyBytes = options.rekeyBytes ?? REKEY_BYTES;
    this.#mayRekey = options.mayRekey ?? (() => true);
    this.#events = events;
    this.#role = role;
    this.#algorithms = host
      ? { ...algorithms, serverHostKey: certificateAlgorithms(host.certificate) }
      : algorithms;
    this.#opening = new Opening(role === "client" ? "server" : "client");
    this.#ident = ident;
    const Constructor = Protocol as unknown as new (config: object) => Ssh2Protocol;
    this.#make = () =>
      new Constructor({
        server: role === "server",
        ident,
        offer: lists(this.#algorithms),
        hostKeys: host && hostKeyTable(host),
        hostVerifier: (blob: Buffer) => this.#verify(blob, verifyHostKey),
        onWrite: (data: Uint8Array) => this.#write(data),
        onError: (error: Error) => this.#fail(this.#refusal ?? error),
        onHandshakeComplete: () => this.#onKeys(),
        messageHandlers: {
          DISCONNECT: (_: unknown, reason: number, text: string) => {
            events.onDisconnect(reason, text);
          },
          SERVICE_REQUEST: (_: unknown, name: string) => events.onServiceRequest?.(name),
          SERVICE_ACCEPT: (_: unknown, name: string) => events.onServiceAccept?.(name),
        },
      });
    if (role === "client") this.#begin();
  }

  /** Sends our identification line; everything else follows from what `receive` is given. */
  start(): void {
    this.#write(Buffer.from(`SSH-2.0-${this.#ident}\r\n`));
  }

  /** Takes bytes from the socket. */
  receive(data: Uint8Array): void {
    if (this.#dead) return;
    if (this.#opening) return this.#receiveOpening(data, this.#opening);
    this.#receive(data);
  }

  #receive(data: Uint8Array): void {
    this.#countForRekey(data.length);
    for (let at = 0; at < data.length && !this.#dead; at += INPUT) {
      try {
        this.#protocol.parse(data, at, Math.min(data.length, at + INPUT));
        this.#events.onReceived?.();
      } catch (error) {
        this.#fail(protocolError(error));
      }
    }
  }

  /**
   * A server's KEXINIT comes without its having seen ours, so a client can wait for it and offer what is
   * safe with that server. A server of ours does not wait, lest both wait for each other.
   */
  #receiveOpening(data: Uint8Array, opening: Opening): void {
    try {
      const known = opening.identified;
      const offer = opening.add(data);
      if (offer === undefined && this.#role === "client") return;
      if (offer !== undefined) this.#opening = undefined;
      if (offer !== "none") this.#offer = offer;
      if (this.#role === "server") {
        // ssh2 loses parts of an identification line that comes in more than two.
        if (!opening.identified) return;
        if (!known) this.#begin();
        return this.#receive(known ? data : opening.bytes);
      }
      if (this.#offer?.strict === false) this.#offerLess(this.#offer);
      this.#receive(opening.bytes);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #begin(): void {
    this.#protocol = this.#make();
    this.#takeMessages();
    this.#watchKeyExchange();
  }

  /** Seam 8. */
  #offerLess({ ident }: PeerOffer): void {
    const safe = withoutStrictness(this.#algorithms);
    if (safe.cipher.length === 0) {
      throw unsafe(ident, this.#algorithms.cipher);
    }
    const { KexInit } = kexParts as unknown as { KexInit: new (lists: object) => unknown };
    const offer = lists(safe);
    this.#protocol._offer = new KexInit({
      ...offer,
      kex: [...offer.kex, "ext-info-c", "kex-strict-c-v00@openssh.com"],
    });
  }

  /** True if what is read to `engine.input` is deciphered where it lies; ssh2's own ciphers keep parts. */
  get inPlace(): boolean {
    return this.#protocol?._decipher instanceof ChaChaPolyDecipher;
  }

  /** The identifier of this session (RFC 4253 §7.2), known once `onReady` was called. */
  get sessionId(): Buffer {
    const id = this.#protocol?._kex?.sessionID;
    if (!id) throw new Error("the first key exchange is not complete");
    return id;
  }

  /** True while keys are exchanged; what is sent meanwhile is kept until the new ones are there. */
  get exchanging(): boolean {
    return this.#protocol?._kexinit !== undefined;
  }

  /** What the other side offered in its first key exchange, once it has. */
  get peerOffer(): PeerOffer | undefined {
    return this.#offer;
  }

  /** The algorithms in use, as they were negotiated. */
  get negotiated(): Negotiated | undefined {
    return this.#protocol?._kex?.negotiated;
  }

  /** Sends one message, its number first. During a rekey it is queued by ssh2. */
  send(...parts: Uint8Array[]): void {
    if (this.#dead) return;
    let length = 0;
    for (const part of parts) length += part.length;
    // Before the packet is laid out: ssh2 lays out those that wait for new keys in another way.
    this.#countForRekey(length);
    const { _cipher: cipher, _kexinit: exchanging } = this.#protocol;
    if (cipher instanceof ChaChaPolyCipher && exchanging === undefined) {
      return cipher.seal(parts, length);
    }
    if (exchanging !== undefined && !this.#mayWait(length)) return;
    const writer = this.#protocol._packetRW.write;
    let at = writer.allocStart;
    const packet = writer.alloc(length);
    for (const part of parts) {
      packet.set(part, at);
      at += part.length;
    }
    (protocolUtils as { sendPacket(p: Ssh2Protocol, packet: Buffer): boolean })
      .sendPacket(this.#protocol, writer.finalize(packet));
  }

  #mayWait(length: number): boolean {
    const waiting = this.#waiting;
    waiting.messages++;
    waiting.bytes += length;
    if (waiting.messages <= MAX_WAITING.messages && waiting.bytes <= MAX_WAITING.bytes) return true;
    this.#protocol.disconnect(DISCONNECT.protocolError);
    this.#fail(
      new SallyportError(
        "ssh-protocol",
        `${waiting.messages} messages wait for the end of a key exchange`,
      ),
    );
    return false;
  }

  /** Asks for new keys; messages sent meanwhile wait. */
  rekey(): void {
    if (!this.#mayRekey()) return;
    this.#bytesSinceKeys = 0;
    if (!this.#ready || this.#dead || this.exchanging) return;
    this.#protocol.rekey();
    this.#asked = true;
    this.#events.onExchange?.(false);
  }

  /** Says goodbye (RFC 4253 §11.1) and makes the transport unusable. */
  disconnect(reason: number): void {
    if (this.#dead) return;
    try {
      this.#protocol?.disconnect(reason);
    } finally {
      this.destroy();
    }
  }

  /** Frees keys and buffers; nothing is reported afterwards. */
  destroy(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#protocol?.cleanup();
  }

  #write(data: Uint8Array): void {
    if (!this.#dead) this.#events.onWrite(data);
  }

  #fail(error: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#protocol?.cleanup();
    const explained = this.#offer &&
      disagreement(error.message, this.#offer, this.#algorithms, this.#role);
    this.#events.onError(explained ?? error);
  }

  /** Ends the key exchange of the moment from within ssh2: it is told, `receive` catches the error. */
  #refuse(error: Error): never {
    this.#refusal = error;
    if (!this.#dead) this.#protocol?.disconnect(DISCONNECT.keyExchangeFailed);
    throw error;
  }

  #onKeys(): void {
    const first = !this.#ready;
    this.#ready = true;
    this.#asked = false;
    this.#bytesSinceKeys = 0;
    this.#waiting = { messages: 0, bytes: 0 };
    if (first && this.#role === "server") this.#sendExtensionInfo();
    this.#events.onReady(first);
  }

  /** RFC 8308 §3.1: which signature algorithms a client may use. */
  #sendExtensionInfo(): void {
    if (!this.#wantsExtensionInfo) return;
    this.send(
      byte(EXT_INFO),
      uint32(1),
      string("server-sig-algs"),
      string(SERVER_SIGNATURE_ALGORITHMS),
    );
  }
  #wantsExtensionInfo = false;

  /** A host that has proved itself does so again in each exchange with the same key, whatever the time. */
  #verify(blob: Buffer, verifyHostKey: TransportOptions["verifyHostKey"]): boolean {
    try {
      if (this.#hostKey?.equals(blob)) return true;
      if (!verifyHostKey) return false;
      verifyHostKey(blob);
      if (this.#hostKey && !sameKey(this.#hostKey, blob)) {
        throw new SallyportError(
          "host-key-changed",
          "the relay shows another host key in the middle of a session",
        );
      }
      this.#hostKey = Buffer.from(blob);
      return true;
    } catch (error) {
      this.#refusal = error instanceof Error ? error : new Error(String(error));
      return false;
    }
  }

  #countForRekey(bytes: number): void {
    this.#bytesSinceKeys += bytes;
    if (this.#bytesSinceKeys > this.#rekeyBytes) this.rekey();
  }

  /** The other side alone has asked for new keys. */
  #announce(): void {
    try {
      this.#events.onExchange?.(true);
    } catch (error) {
      this.#refuse(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Seam 3. */
  #takeMessages(): void {
    const transportMessages = this.#protocol._onPayload;
    this.#protocol._onPayload = (payload) => {
      if (payload.length > 0 && payload[0]! >= FIRST_MESSAGE_OF_OURS) {
        this.#events.onMessage(payload);
        return undefined;
      }
      return transportMessages(payload);
    };
  }

  /**
   * Seam 2. A certificate algorithm such as "rsa-sha2-256-cert-v01@openssh.com" is agreed on while
   * the blob says "ssh-rsa-cert-v01@openssh.com" and the signature "rsa-sha2-256" (protocol.md).
   * ssh2 compares all three with one variable, so it is shown each name when it is that one's turn.
   */
  #watchKeyExchange(): void {
    let current: Kex | undefined = this.#protocol._kex;
    Object.defineProperty(this.#protocol, "_kex", {
      configurable: true,
      get: () => current,
      set: (kex: Kex) => {
        current = kex;
        this.#adoptKeyExchange(kex);
      },
    });
  }

  #adoptKeyExchange(kex: Kex): void {
    // As OpenSSH: else one stranger makes as many exchanges on one connection as time permits.
    if (this.#ready && !this.#mayRekey()) {
      this.#refuse(new SallyportError("ssh-protocol", "a second key exchange before login"));
    }
    const { negotiated } = kex;
    const { _strictMode: strict = false, _decipher: decipher } = this.#protocol;
    const unsafely = strict ? [] : unsafeWithoutStrictness(negotiated);
    if (unsafely.length > 0) this.#refuse(unsafe(this.#offer?.ident ?? "the other side", unsafely));
    watchExchange(decipher as ExchangeDecipher, {
      first: !this.#ready,
      strict,
      refuse: (error) => this.#refuse(error),
      spent: (time) => this.#events.onExchangeCost?.(time),
    });
    shortenExponent(kex);
    guardSecret(kex);
    if (this.#ready && !this.#asked) this.#announce();
    const signature = plainType(negotiated.serverHostKey);
    negotiated.serverHostKey = signature;
    if (this.#role === "server") {
      // ssh2 assigns this field right after it has assigned _kex.
      Object.defineProperty(kex, "remoteExtInfoEnabled", {
        get: () => false,
        set: (value: boolean) => this.#wantsExtensionInfo = value,
      });
      return;
    }
    const parse = kex.parse;
    kex.parse = (payload) => {
      if (payload[0] !== KEXDH_REPLY) return parse.call(kex, payload);
      negotiated.serverHostKey = replyBlobType(payload, signature);
      try {
        return parse.call(kex, payload);
      } finally {
        negotiated.serverHostKey = signature;
      }
    };
  }
}

/** Our lists as ssh2 takes them: the same in both directions, nothing compressed. */
function lists({ kex, serverHostKey, cipher, mac }: Algorithms) {
  const direction = { cipher, mac, compress: ["none"], lang: [] };
  return { kex, serverHostKey, cs: direction, sc: direction };
}

function unsafe(ident: string, algorithms: string[]): SallyportError {
  return new SallyportError(
    "ssh-algorithms",
    `${ident} has no strict key exchange (CVE-2023-48795), without which ${
      algorithms.join(", ")
    } must not be used`,
    { hint: "update it, or let it use AES-GCM, or AES-CTR with hmac-sha2-256" },
  );
}

/**
 * ssh2 stumbles over messages at the wrong time (one of a key exchange before it has begun) and over
 * lengths that cannot be; what JavaScript says of that helps nobody.
 */
function protocolError(error: unknown): Error {
  // Deno says of a wrong tag of AES-GCM that it is a wrong type.
  if (error instanceof Error && /authenticate/i.test(error.message)) {
    return new Error(error.message);
  }
  if (error instanceof Error && !(error instanceof TypeError || error instanceof RangeError)) {
    return error;
  }
  return new Error("a message is malformed or comes at the wrong time", { cause: error });
}
