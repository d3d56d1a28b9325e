/**
 * A TLS connection after its handshake as a well-behaved Duplex: backpressure that holds and half-closes
 * that arrive. It works Deno's TLS engine by hand, the object under a TLSSocket: ciphertext goes in and
 * plaintext comes out in the same call, and the other way round. So nothing lies in between that could
 * be forgotten, and a byte needs no further turn of the event loop. The engine is not documented; this
 * file is the only one that touches it, and test/tls/stream_test.ts fails if it changes.
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { SallyportError } from "../errors.ts";
import { Lent } from "./release.ts";
import type { CarrierUser, TlsCarrier } from "./carrier.ts";

/** Plaintext kept for a reader that is not reading before the duplex is paused, bytes. */
const READ_AHEAD = 64 * 1024;
/** As much as the engine encrypts at a time, bytes; of more it would keep the rest. */
const PIECE = 48 * 1024;

/** Deno's TLSWrap, as far as it is used. */
interface Engine {
  /** Called with plaintext, or with nothing at the peer's close_notify. */
  onread(plaintext?: ArrayBuffer): void;
  /** Makes the engine look at `onread`. */
  readStart(): number;
  /** Decrypts. */
  readBuffer(ciphertext: Uint8Array): void;
  /** Encrypts; what an adapter of Deno's has put in its place is passed by. */
  writeBuffer(request: object, plaintext: Uint8Array): number;
  /** Makes a close_notify. */
  shutdown(request: object): number;
  /** Takes the ciphertext that is to be sent. */
  drainEncOut(): Uint8Array;
}

/** How long the duplex may take to end after both sides' close_notify, ms. */
const LINGER = 5_000;

/** The engine reports to requests when they are done, which they are at once. */
const REQUEST = {};

/**
 * Owns the TLS socket and the carrier's duplex. Destroyed before its end was sent, it breaks the duplex
 * off: common TLS clients take a close without close_notify for an end, so that a part would pass for
 * the whole.
 */
export class TlsStream extends Duplex implements CarrierUser {
  readonly #tls: TLSSocket;
  readonly #engine: Engine;
  readonly #methods: Engine;
  readonly #carrier: TlsCarrier;
  readonly #duplex: Duplex;
  readonly #lent: Lent;
  #paused = false;
  #ended = false;
  #received = 0;
  #sent = 0;

  /** Must be made in the very callback that reports the handshake: no byte may come before. */
  constructor(tls: TLSSocket, carrier: TlsCarrier) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_AHEAD });
    this.#tls = tls;
    this.#carrier = carrier;
    this.#duplex = carrier.duplex;
    this.#lent = new Lent(this.#duplex);
    tls.on("error", (error: Error) => this.destroy(error));
    this.#engine = (tls as TLSSocket & { _handle: Engine })._handle;
    this.#methods = Object.getPrototypeOf(this.#engine);
    this.#engine.onread = (plaintext) => this.#onPlaintext(plaintext);
    this.#engine.readStart();
    carrier.handOver(this);
  }

  /** Bytes of plaintext that came, and that were encrypted to be sent. */
  get traffic(): { received: number; sent: number } {
    return { received: this.#received, sent: this.#sent };
  }

  receive(ciphertext: Uint8Array): void {
    if (this.#ended || this.destroyed) return;
    this.#engine.readBuffer(ciphertext);
    this.#flush();
  }

  /** An end without close_notify is what a cut looks like (RFC 8446 §6.1), so it is taken for one. */
  receiveEnd(): void {
    if (this.#ended || this.destroyed) return;
    const text = "the connection ended without TLS's close_notify";
    this.destroy(new SallyportError("ssh-closed", text));
  }

  receiveClose(error?: Error): void {
    if (this.destroyed) return;
    if (error || !this.#ended) {
      const text = "the connection was closed before its end";
      this.destroy(new SallyportError("ssh-closed", text, { cause: error }));
    } else if (this.readableEnded) this.destroy();
    else this.once("end", () => this.destroy());
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#duplex.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#sent += chunk.length;
    for (let at = 0; at < chunk.length; at += PIECE) {
      this.#methods.writeBuffer.call(this.#engine, REQUEST, chunk.subarray(at, at + PIECE));
      this.#flush();
    }
    if (!this.#duplex.writableNeedDrain) return done();
    this.#duplex.once("drain", () => {
      this.#lent.settle();
      done();
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#methods.shutdown.call(this.#engine, REQUEST);
    this.#flush();
    this.#duplex.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#tls.destroy();
    const duplex = this.#duplex;
    const over = duplex.destroyed || duplex.readableEnded;
    if (error === null && this.writableFinished && this.#ended && !over) {
      return void linger(duplex).then(() => done(null));
    }
    if (this.writableFinished) duplex.destroy();
    else this.#carrier.reset();
    done(error);
  }

  #onPlaintext(plaintext: ArrayBuffer | undefined): void {
    if (this.#ended || this.destroyed) return;
    if (plaintext === undefined) {
      this.#ended = true;
      this.push(null);
      // What follows a close_notify is nothing but the duplex's own end.
      this.#duplex.resume();
      return;
    }
    this.#received += plaintext.byteLength;
    if (!this.push(Buffer.from(plaintext)) && !this.#paused) {
      this.#paused = true;
      this.#duplex.pause();
    }
  }

  #flush(): void {
    const ciphertext = this.#engine.drainEncOut();
    if (ciphertext.length === 0 || this.#duplex.destroyed) return;
    this.#duplex.write(ciphertext);
    this.#lent.add(ciphertext);
  }
}

/**
 * Closes a duplex once the other side has ended it as well. A network socket that is closed with something
 * unread, be it the other side's last record, is reset by the system, and what we sent and is still on
 * its way is lost.
 */
function linger(duplex: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const close = () => {
      clearTimeout(timer);
      duplex.destroy();
      resolve();
    };
    const timer = setTimeout(close, LINGER);
    (timer as unknown as { unref?(): void }).unref?.();
    duplex.once("end", close).once("close", close).resume();
  });
}
