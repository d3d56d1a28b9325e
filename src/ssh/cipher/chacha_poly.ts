/**
 * chacha20-poly1305@openssh.com (OpenSSH, PROTOCOL.chacha20poly1305) with the methods that ssh2 expects
 * of its ciphers, and one more: `seal`, which takes a message in parts and spares the copies between.
 */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import * as engine from "./engine.ts";

/** Padding makes what the length counts a multiple of this (RFC 4253 §6). */
const UNIT = 8;
const LEAST_PADDING = 4;
/** Largest length field that is accepted; ssh2's own limit. */
const LARGEST_LENGTH = 35_000;

/** Random bytes for padding, fetched many at a time. */
const random = Buffer.alloc(4096);
let randomUsed = random.length;

function pad(target: Uint8Array, from: number, length: number): void {
  if (randomUsed + length > random.length) {
    randomFillSync(random);
    randomUsed = 0;
  }
  for (let i = 0; i < length; i++) target[from + i] = random[randomUsed++]!;
}

/** Bytes of padding behind a message of `length` bytes. */
function paddingFor(length: number): number {
  const padding = UNIT - (1 + length) % UNIT;
  return padding < LEAST_PADDING ? padding + UNIT : padding;
}

/** What ssh2 gives to a cipher. */
export interface OutboundConfig {
  outbound: { seqno: number; onWrite(data: Uint8Array): void; cipherKey: Uint8Array };
}

/** Encrypts. What `onWrite` is given is valid only until it returns. */
export class ChaChaPolyCipher {
  outSeqno: number;
  readonly #onWrite: (data: Uint8Array) => void;
  readonly #keys: Uint8Array;
  #dead = false;

  constructor({ outbound }: OutboundConfig) {
    this.outSeqno = outbound.seqno;
    this.#onWrite = outbound.onWrite;
    this.#keys = Uint8Array.from(outbound.cipherKey);
  }

  /** A packet for a message of `length` bytes, which goes to position 5. */
  allocPacket(length: number): Buffer {
    const padding = paddingFor(length);
    const packet = Buffer.allocUnsafe(5 + length + padding);
    packet.writeUInt32BE(packet.length - 4);
    packet[4] = padding;
    pad(packet, 5 + length, padding);
    return packet;
  }

  /** Encrypts and writes a packet that `allocPacket` made. */
  encrypt(packet: Uint8Array): void {
    if (this.#dead) return;
    engine.packet.set(packet);
    this.#finish(packet.length - 4);
  }

  /** Encrypts and writes a message of `length` bytes, given in parts. */
  seal(parts: readonly Uint8Array[], length: number): void {
    if (this.#dead) return;
    const { packet } = engine;
    const padding = paddingFor(length);
    const counted = 1 + length + padding;
    packet[0] = counted >>> 24;
    packet[1] = counted >>> 16;
    packet[2] = counted >>> 8;
    packet[3] = counted;
    packet[4] = padding;
    let at = 5;
    for (const part of parts) {
      packet.set(part, at);
      at += part.length;
    }
    pad(packet, at, padding);
    this.#finish(counted);
  }

  #finish(length: number): void {
    engine.seal(this.#keys, this.outSeqno, length);
    this.outSeqno = (this.outSeqno + 1) >>> 0;
    this.#onWrite(engine.packet.subarray(0, 4 + length + engine.TAG));
  }

  /** Forgets the keys. */
  free(): void {
    this.#dead = true;
    this.#keys.fill(0);
  }
}

/** What ssh2 gives to a decipher. */
export interface InboundConfig {
  inbound: {
    seqno: number;
    onPayload(payload: Buffer): false | number | undefined;
    decipherKey: Uint8Array;
  };
}

/** Messages below this number are ssh2's own, which keeps some of them. */
const FIRST_UNKEPT = 50;

/**
 * Decrypts. A payload with a message of number 50 or above lies in the cipher's memory: it is valid
 * until `decrypt` has returned, and data that is read to `engine.input` is not copied at all.
 */
export class ChaChaPolyDecipher {
  inSeqno: number;
  /** ssh2 puts another one in its place while keys are exchanged. */
  _onPayload: InboundConfig["inbound"]["onPayload"];
  readonly #keys: Uint8Array;
  /** A packet of which not all has come. */
  readonly #partial = new Uint8Array(4 + LARGEST_LENGTH + engine.TAG);
  #have = 0;
  /** Bytes of the whole partial packet, or 0 while its length is not known. */
  #need = 0;

  constructor({ inbound }: InboundConfig) {
    this.inSeqno = inbound.seqno;
    this._onPayload = inbound.onPayload;
    this.#keys = Uint8Array.from(inbound.decipherKey);
  }

  /**
   * Takes `data` from `at` to `end`. Gives where to go on if the receiver of a payload wants somebody else
   * to take the rest, as ssh2's ciphers do; undefined when all is taken. Throws if a packet is wrong.
   */
  decrypt(data: Uint8Array, at: number, end: number): number | undefined {
    if (this.#have + end - at < this.#need) return this.#keep(data.subarray(at, end));
    return engine.withInput(() => {
      for (; at < end; at += engine.INPUT) {
        const next = this.#decrypt(data, at, Math.min(end, at + engine.INPUT));
        if (next !== undefined) return next;
      }
    });
  }

  #decrypt(data: Uint8Array, at: number, end: number): number | undefined {
    const before = this.#partial.subarray(0, this.#have);
    const address = engine.load(before, data, at, end);
    const until = address + end - at;
    let from = address - this.#have;
    this.#have = this.#need = 0;
    while (until - from >= 4) {
      const whole = this.#wholeLength(from);
      if (whole > until - from) {
        this.#need = whole;
        break;
      }
      const payload = this.#open(from, whole);
      from += whole;
      this.inSeqno = (this.inSeqno + 1) >>> 0;
      const next = this._onPayload(payload[0]! < FIRST_UNKEPT ? Buffer.from(payload) : payload);
      if (next !== undefined) return next === false ? at + from - address : next;
    }
    this.#keep(engine.bytes(from, until));
    return undefined;
  }

  #keep(part: Uint8Array): undefined {
    this.#partial.set(part, this.#have);
    this.#have += part.length;
  }

  /** Bytes of the packet that begins at address `at`. */
  #wholeLength(at: number): number {
    const length = engine.openLength(this.#keys, this.inSeqno, at);
    if (length > LARGEST_LENGTH || length < UNIT || length % UNIT !== 0) {
      throw new Error("Bad packet length");
    }
    return 4 + length + engine.TAG;
  }

  #open(at: number, whole: number): Buffer {
    const length = whole - 4 - engine.TAG;
    if (!engine.open(this.#keys, this.inSeqno, at, length)) throw new Error("Invalid MAC");
    const body = engine.bytes(at + 4, at + 4 + length);
    const padding = body[0]!;
    if (padding < LEAST_PADDING || padding > length - 1) throw new Error("Bad padding length");
    return body.subarray(1, length - padding);
  }

  /** Forgets the keys. */
  free(): void {
    this.#keys.fill(0);
  }
}
