/**
 * TLS over any Duplex: an SSH channel, a network socket, another TLS. Deno's TLS takes a carrier in a
 * socket's place; its own adapter for streams loses a close_notify that comes alone and writes without
 * regard to backpressure, so that it serves for the handshake alone (stream.ts takes over then).
 */
import { EventEmitter } from "node:events";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Server, TLSSocket } from "node:tls";

/** How long a refused peer may take to hear why, ms. */
const LINGER = 1_000;

/** Who is given what comes from the duplex once the handshake is over. */
export interface CarrierUser {
  receive(ciphertext: Uint8Array): void;
  /** The duplex has ended. */
  receiveEnd(): void;
  /** The duplex is closed, maybe by an error. */
  receiveClose(error?: Error): void;
}

/** A duplex that can give away what comes without a copy (ssh/channel.ts). */
interface DirectDuplex extends Duplex {
  takeDirectly?(take: (data: Uint8Array) => void): void;
}

/** Stands between Deno's TLS and a duplex. Owns the duplex from the start on. */
export class TlsCarrier extends EventEmitter {
  readonly allowHalfOpen = true;
  readonly readable = true;
  readonly writable = true;
  readonly duplex: Duplex;
  #user: CarrierUser | undefined;
  #error: Error | undefined;

  /** @param pace does the work of the handshake in its turn; true if that was at once */
  constructor(duplex: Duplex, pace: (work: () => void) => boolean = atOnce) {
    super();
    this.duplex = duplex;
    duplex.on("data", (chunk: Uint8Array) => {
      if (this.#user) return this.#user.receive(chunk);
      let waited = false;
      waited = !pace(() => {
        if (duplex.destroyed) return;
        this.emit("data", chunk);
        if (waited) duplex.resume();
      });
      if (waited) duplex.pause();
    });
    duplex.on("end", () => this.#user ? this.#user.receiveEnd() : this.emit("end"));
    duplex.on("error", (error: Error) => this.#error = error);
    duplex.on(
      "close",
      () => this.#user ? this.#user.receiveClose(this.#error) : this.emit("close"),
    );
  }

  /** From now on what comes goes to `user`, who has done with the bytes when its method returns. */
  handOver(user: CarrierUser): void {
    this.#user = user;
    (this.duplex as DirectDuplex).takeDirectly?.((data) => user.receive(data));
  }

  /** Closes the duplex at once, and such that the other side sees a break and not an end. */
  reset(): void {
    const { duplex } = this;
    if (duplex instanceof Socket && !duplex.destroyed) duplex.resetAndDestroy();
    else duplex.destroy();
  }

  /** Closes the duplex after a handshake that failed; the alert that names the reason still leaves. */
  dismiss(): void {
    const { duplex } = this;
    const timer = setTimeout(() => duplex.destroy(), LINGER);
    duplex.once("close", () => clearTimeout(timer));
    if (duplex.destroyed) return clearTimeout(timer);
    duplex.resume();
    // Deno's adapter sends the alert in a microtask that is queued by now.
    queueMicrotask(() => duplex.end());
  }

  // What Deno's adapter calls. During a handshake there is so little to send that nothing need wait.

  write(ciphertext: Uint8Array, done: () => void): void {
    if (!this.duplex.destroyed) this.duplex.write(ciphertext);
    done();
  }

  end(done: () => void): void {
    done();
  }

  pause(): void {}
  resume(): void {}
  cork(): void {}
  uncork(): void {}
  destroy(): void {}
}

function atOnce(work: () => void): true {
  work();
  return true;
}

/** What a TLS server reports about one handshake. */
export interface ServerHandshake {
  /** Runs in the very moment in which the handshake is over, before a byte of plaintext. */
  onSecure(tls: TLSSocket): void;
  onFailure(error: Error, tls: TLSSocket): void;
}

/**
 * Begins a handshake as `server`. A server tells all its listeners of every connection, and a TLSSocket
 * does not know its carrier; so each handshake is given a view of the server whose reports come here.
 * A time limit is the caller's business.
 */
export function acceptTls(server: Server, carrier: TlsCarrier, handshake: ServerHandshake): void {
  const view: Server = Object.create(server, {
    // Deno's timer of 120 s, which would hold a connection in memory long after its end.
    _handshakeTimeout: { value: 0 },
    emit: {
      value: (event: string, ...args: unknown[]) => {
        if (event === "secureConnection") handshake.onSecure(args[0] as TLSSocket);
        if (event === "tlsClientError") handshake.onFailure(args[0] as Error, args[1] as TLSSocket);
        return true;
      },
    },
  });
  (server.emit as (event: string, carrier: unknown) => void).call(view, "connection", carrier);
}
