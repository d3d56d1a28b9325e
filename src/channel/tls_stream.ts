/**
 * A TLS socket as a well-behaved Duplex: backpressure that holds and half-closes that arrive.
 *
 * Deno 2.9.4 goes on reading from the network while a TLSSocket is paused, keeps all of it in memory,
 * and then forgets the peer's close_notify. So the TLSSocket under this stream is never paused; what is
 * paused instead is its intake: the socket, or the hop, that feeds it ciphertext.
 */
import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { SallyportError } from "../errors.ts";

/** Plaintext kept for a reader that is not reading before the intake is paused, bytes. */
const READ_AHEAD = 256 * 1024;

/** Where a TLS socket's ciphertext comes from, and goes to. */
export interface Intake {
  pause(): void;
  resume(): void;
  /** Closes it at once, and such that the other side sees a break and not an end. */
  reset(): void;
}

/**
 * The intake of a TLS socket that runs directly on a network socket. `pause()` of the network socket
 * itself would not do: its `resume()` would take the bytes away from TLS. Its handle is what Node and
 * Deno stop and start themselves; test/channel/tls_stream_test.ts fails if that changes.
 */
export function socketIntake(socket: Socket): Intake {
  const handle = () =>
    (socket as Socket & { _handle?: { readStop(): void; readStart(): void } | null })._handle;
  return {
    pause: () => handle()?.readStop(),
    resume: () => handle()?.readStart(),
    reset: () => {
      if (!socket.destroyed) socket.resetAndDestroy();
    },
  };
}

/**
 * Plaintext of a TLS connection whose handshake is over. Owns the TLS socket. Destroyed before its end
 * was sent, it resets the connection: common TLS clients take a close without close_notify for an end,
 * so that a part would pass for the whole.
 */
export class TlsStream extends Duplex {
  readonly #tls: TLSSocket;
  readonly #intake: Intake;
  #paused = false;
  #ended = false;

  /** Must be made in the very callback that reports the handshake: no byte may come before. */
  constructor(tls: TLSSocket, intake: Intake) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_AHEAD });
    this.#tls = tls;
    this.#intake = intake;
    tls.on("data", (chunk: Buffer) => this.#onData(chunk));
    tls.on("end", () => {
      this.#ended = true;
      if (!this.destroyed) this.push(null);
    });
    tls.on("error", (error: Error) => this.destroy(error));
    tls.on("close", () => this.#onClose());
  }

  #onData(chunk: Buffer): void {
    if (this.destroyed || this.push(chunk) || this.#paused) return;
    this.#paused = true;
    this.#intake.pause();
  }

  #onClose(): void {
    if (this.destroyed) return;
    if (!this.#ended) {
      return void this.destroy(
        new SallyportError("ssh-closed", "the connection was closed before its end"),
      );
    }
    if (this.readableEnded) this.destroy();
    else this.once("end", () => this.destroy());
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#intake.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // Deno's TLSSocket sends nothing more behind a write of no bytes, and node:http makes such writes.
    if (chunk.length === 0 || this.#tls.write(chunk)) done();
    else this.#tls.once("drain", done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#tls.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.writableFinished) this.#intake.reset();
    this.#tls.destroy();
    done(error);
  }
}
