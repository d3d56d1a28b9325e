/** The parts of ssh2's Protocol that transport.ts touches, private ones among them (its seams say why). */
import type { Buffer } from "node:buffer";
import type { Negotiated } from "../algorithms.ts";
import type { Exchange } from "./key_exchange.ts";

/** The key exchange of the moment (ssh2, lib/protocol/kex.js). */
export interface Kex extends Exchange {
  negotiated: Negotiated;
  sessionID: Buffer;
  remoteExtInfoEnabled: boolean;
  parse(payload: Buffer): unknown;
}

/** ssh2, lib/protocol/Protocol.js. */
export interface Ssh2Protocol {
  start(): void;
  parse(chunk: Uint8Array, from: number, to: number): void;
  rekey(): void;
  disconnect(reason: number): void;
  cleanup(): void;
  _kex: Kex | undefined;
  _kexinit: Buffer | undefined;
  _cipher: unknown;
  _decipher: unknown;
  _offer: unknown;
  _strictMode: boolean | undefined;
  _onPayload: (payload: Buffer) => unknown;
  _packetRW: {
    write: {
      allocStart: number;
      alloc(length: number): Buffer;
      finalize(packet: Buffer): Buffer;
    };
  };
}
