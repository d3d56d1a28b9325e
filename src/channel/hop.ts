/**
 * A private local hop: joins a Duplex (an SSH channel, a TLS stream) to a native loopback socket, so
 * that TLS can run on a real socket. Why a hop at all: Deno's TLS over a JavaScript stream loses the
 * peer's close_notify when it comes alone and writes without regard to backpressure (protocol.md,
 * "Facts about the parts"). Over a native socket its writes wait, and tls_stream.ts cures its reads.
 *
 * A hop is a TCP connection on 127.0.0.1. Its accepting end is matched by the connecting end's port
 * before a byte passes: while our socket holds that port no other process can have it, so a stranger
 * who connects is cut off. What passes is the inner mTLS's ciphertext, so there is nothing to sniff.
 */
import type { Duplex } from "node:stream";
import { connect, createServer, type Server, type Socket } from "node:net";
import { SallyportError } from "../errors.ts";
import type { Intake } from "./tls_stream.ts";

const LOOPBACK = "127.0.0.1";
/** How long the two ends of a hop may take to find each other, ms. */
const MATCH_WITHIN = 5_000;
/** Connections that nobody has claimed yet, at most; strangers beyond are cut off at once. */
const MAX_UNMATCHED = 256;

interface Waiting {
  resolve(socket: Socket): void;
}

interface Early {
  socket: Socket;
  /** Forgets it, without closing it. */
  forget(): void;
}

/** A joined hop. */
export interface Hop {
  /** The native socket that stands for the duplex. */
  socket: Socket;
  /** Stops and starts what flows from the duplex into the socket. */
  intake: Intake;
}

/** Makes hops. One listener on a loopback port of its own, open as long as the hop maker. */
export class HopMaker {
  readonly #server: Server;
  /** The loopback port that hops go through. */
  readonly port: number;
  /** Connecting ends by their port, until the accepting end shows up; and the other way round. */
  readonly #expected = new Map<number, Waiting>();
  readonly #early = new Map<number, Early>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on("connection", (socket: Socket) => this.#match(socket));
  }

  /** Opens the listener. */
  static async open(): Promise<HopMaker> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: LOOPBACK, port: 0 }, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no loopback address");
    server.unref();
    return new HopMaker(server, address.port);
  }

  /**
   * A native socket whose bytes are the duplex's. Half-closes pass both ways; when one side is gone,
   * so is the other.
   */
  async join(duplex: Duplex): Promise<Hop> {
    // Stays: until the two are coupled nobody else listens.
    duplex.on("error", () => {});
    const near = connect({ host: LOOPBACK, port: this.port, noDelay: true, allowHalfOpen: true });
    const socket = await this.#farEnd(near).catch((error) => {
      near.destroy();
      throw error;
    });
    if (duplex.destroyed) near.destroy();
    return { socket, intake: couple(duplex, near, socket) };
  }

  /** Closes the listener; hops that exist go on. */
  close(): void {
    this.#server.close();
    for (const { socket, forget } of [...this.#early.values()]) {
      forget();
      socket.destroy();
    }
  }

  #farEnd(near: Socket): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        clearTimeout(timer);
        if (near.localPort !== undefined) this.#expected.delete(near.localPort);
        reject(new SallyportError("internal", `local hop: ${error.message}`, { cause: error }));
      };
      const timer = setTimeout(() => fail(new Error("its two ends did not meet")), MATCH_WITHIN);
      near.once("error", fail);
      near.once("connect", () => {
        const port = near.localPort!;
        const met = (socket: Socket) => {
          clearTimeout(timer);
          near.off("error", fail);
          resolve(socket);
        };
        const early = this.#early.get(port);
        if (early) {
          early.forget();
          met(early.socket);
        } else {
          this.#expected.set(port, { resolve: met });
        }
      });
    });
  }

  #match(socket: Socket): void {
    // Stays: a stranger's reset is no reason to fall over, and the hop's user hears "close".
    socket.on("error", () => {});
    const port = socket.remotePort;
    if (port === undefined || socket.remoteAddress !== LOOPBACK) return void socket.destroy();
    const waiting = this.#expected.get(port);
    if (waiting) {
      this.#expected.delete(port);
      waiting.resolve(socket);
      return;
    }
    if (this.#early.size >= MAX_UNMATCHED) return void socket.destroy();
    const forget = () => {
      clearTimeout(drop);
      socket.off("close", forget);
      if (this.#early.get(port)?.socket === socket) this.#early.delete(port);
    };
    const drop = setTimeout(() => {
      forget();
      socket.destroy();
    }, MATCH_WITHIN);
    drop.unref?.();
    socket.once("close", forget);
    this.#early.set(port, { socket, forget });
  }
}

/**
 * Copies both ways, unlike forward/pipe.ts without an outcome: a hop's ends are watched by those who
 * use it. Two things can hold the flow from the duplex up, the near socket's buffer and the intake's
 * user; it goes on when neither does.
 */
function couple(duplex: Duplex, near: Socket, socket: Socket): Intake {
  let held = false;
  let full = false;
  const goOn = () => {
    if (!held && !full) duplex.resume();
  };
  duplex.on("data", (chunk) => {
    if (near.write(chunk)) return;
    full = true;
    duplex.pause();
  });
  near.on("drain", () => {
    full = false;
    goOn();
  });
  near.on("data", (chunk) => {
    if (!duplex.write(chunk)) near.pause();
  });
  duplex.on("drain", () => near.resume());
  duplex.on("end", () => near.end());
  near.on("end", () => duplex.end());
  duplex.on("error", () => near.destroy());
  near.on("error", () => duplex.destroy());
  const closeWhenSent = () => {
    if (duplex.writableFinished) duplex.destroy();
    else duplex.once("finish", () => duplex.destroy());
  };
  // Whoever used the hop has closed it: what it sent still goes out, nobody takes what would come.
  socket.on("close", () => {
    if (near.readableEnded) closeWhenSent();
    else near.once("end", closeWhenSent);
  });
  near.on("close", () => near.readableEnded ? closeWhenSent() : duplex.destroy());
  duplex.on("close", () => {
    near.destroy();
    // TLS would take the near socket's close for an end.
    if (!duplex.readableEnded) socket.destroy();
  });
  return {
    pause() {
      held = true;
      duplex.pause();
    },
    resume() {
      held = false;
      goOn();
    },
    reset() {
      duplex.destroy();
    },
  };
}
