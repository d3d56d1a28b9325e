/**
 * The relay (the seed's "proxy server"): gateways dial in over SSH, clients come over TLS, and bytes
 * that it cannot read go from one to the other.
 */
import { once } from "node:events";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { renewalTime } from "../certificates/renewal.ts";
import { parseAuthorizedKey, parsePrivateKey } from "../certificates/ssh_key.ts";
import type { RelayRegistration, RelayType } from "../enroll/api.ts";
import type { RelayCalls } from "../enroll/enrolled_relay.ts";
import { validityOf } from "../enroll/registration.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { askedWait } from "../link/backoff.ts";
import { type Clock, systemClock, waitUntil } from "../link/clock.ts";
import { listen, type ListenAddress } from "../listen.ts";
import { logger } from "../log.ts";
import { acceptSsh, type AcceptSshOptions, type GatewaySession } from "../ssh/server.ts";
import type { Keepalive } from "../ssh/session.ts";
import { FrontDoor, NO_ROOM } from "./front_door.ts";
import { Lobby } from "./lobby.ts";
import { Pace } from "./pace.ts";
import { Registry } from "./registry.ts";
import { keepInformed, RevocationList } from "./revocations.ts";
import { parseRelayHost } from "./relay_host.ts";
import { Room } from "./room.ts";
import { plainAddress, sourceOf } from "../source.ts";

const log = logger("relay");

/** Time to authenticate, ms. */
const LOGIN_TIMEOUT = 20_000;
/** Heartbeats: until the first success, and then (protocol.md, "Timings"), ms. */
const FIRST_HEARTBEAT_EVERY = 10_000;
const HEARTBEAT_EVERY = 30 * 60_000;
/** Least time between two renewals, and after one that failed, ms. */
const RENEWAL_PAUSE = 1_000;
const RENEWAL_RETRY = 60_000;

/** How long open streams may go on when the relay stops, ms. */
const DRAIN_TIMEOUT = 10_000;

/** What strangers may take up, at each of the two ports. */
export interface RelayLimits {
  /** Time for an SSH connection to authenticate, ms. @default 20,000 */
  loginTimeout?: number;
  /** Time for a TLS handshake, ms. @default 5,000 */
  handshakeTimeout?: number;
  /** Connections that have not authenticated yet, at a time. @default 1,024 */
  maxUnauthenticated?: number;
  /** Of these, from one address (IPv6: one /64). @default 512 */
  maxUnauthenticatedPerAddress?: number;
}

/** How a relay is set up. */
export interface RelayOptions {
  name: string;
  /** Under which gateways and clients reach it: a DNS name or an IP address, without a port. */
  host: string;
  type: RelayType;
  api: RelayCalls;
  sshListen: ListenAddress;
  tlsListen: ListenAddress;
  keepalive?: Keepalive;
  limits?: RelayLimits;
  /** How long open streams may go on when the relay stops, ms. @default 10,000 */
  drainTimeout?: number;
  clock?: Clock;
}

/** A relay that is listening. */
export interface RunningRelay {
  ssh: ListenAddress;
  tls: ListenAddress;
  registry: Registry;
  /**
   * Resolves when it has stopped and everything is closed, because its signal was aborted; rejects with
   * `revoked` if it has stopped because the platform has cut it or its identity off.
   */
  finished: Promise<void>;
}

/**
 * Registers with the platform and listens. Rejects if either fails (`usage`, `port-in-use`, `listen`,
 * what the API says); stops when `signal` aborts.
 */
export async function startRelay(
  options: RelayOptions,
  signal: AbortSignal,
): Promise<RunningRelay> {
  if (options.name.trim() === "") throw new SallyportError("usage", "the relay needs a name");
  return await new Relay({ ...options, host: parseRelayHost(options.host) }, signal).start();
}

/** What the relay shows to gateways and demands of them. */
type SshKeys = Pick<AcceptSshOptions, "host" | "userAuthority">;

class Relay {
  readonly #options: RelayOptions;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #registry = new Registry();
  readonly #revocations = new RevocationList();
  /** Aborts with the error that ends this relay from within. */
  readonly #over = new AbortController();
  readonly #lobby: Lobby;
  /** For both ports: who has proved nothing yet goes first, of the port where more of those wait. */
  readonly #room = new Room(() => {
    const [more, fewer] = this.#lobby.size > this.#door.lobby.size
      ? [this.#lobby, this.#door.lobby]
      : [this.#door.lobby, this.#lobby];
    const why = "there are as many connections as there may be";
    return more.turnOutOne(why) || fewer.turnOutOne(why);
  });
  /** For both ports: there is one thread. */
  readonly #pace = new Pace();
  /** Who knocks at an open door knocks again and again. */
  readonly #atDoor: FoldedLog;
  readonly #ssh: Server;
  readonly #door: FrontDoor;
  #sshKeys: SshKeys | undefined;
  /** Settles when the SSH server, told to stop, has lost its last connection. */
  #closed: Promise<unknown> = Promise.resolve();

  constructor(options: RelayOptions, signal: AbortSignal) {
    const { limits = {}, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    this.#lobby = new Lobby({
      timeout: limits.loginTimeout ?? LOGIN_TIMEOUT,
      most: limits.maxUnauthenticated,
      mostPerSource: limits.maxUnauthenticatedPerAddress,
    });
    this.#ssh = createTcpServer(
      { allowHalfOpen: true, noDelay: true },
      (socket) => this.#login(socket),
    );
    this.#atDoor = new FoldedLog(log, () => clock.now());
    this.#door = new FrontDoor({
      registry: this.#registry,
      revocations: this.#revocations,
      pace: this.#pace,
      admit: (socket) => this.#room.admit(socket),
      ...limits,
    });
  }

  async start(): Promise<RunningRelay> {
    const { name, sshListen, tlsListen } = this.#options;
    try {
      // Both ports are taken before the platform is told of them.
      const ssh = await listen(this.#ssh, sshListen, "--ssh-listen");
      const tls = await listen(this.#door.server, tlsListen, "--tls-listen");
      const register = async () => this.#use(await this.#register(ssh.port, tls.port));
      const due = await register();
      log.info("relay {name} serves gateways on port {ssh} and clients on port {tls}", {
        name,
        ssh: ssh.port,
        tls: tls.port,
      });
      const finished = this.#run(due, register);
      // Whoever awaits it still gets the error; nobody awaiting it yet is no reason to crash.
      finished.catch(() => {});
      return { ssh, tls, registry: this.#registry, finished };
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  /** Keeps what the platform knows fresh until the signal aborts, then closes everything. */
  async #run(due: number, register: () => Promise<number>): Promise<void> {
    const tasks = [this.#keepRegistered(due, register), this.#keepBeating(), this.#keepInformed()];
    await Promise.all(tasks.map((task) => task.catch((error) => this.#report(error))));
    await this.#drain();
    await this.#close();
    log.info("relay {name} has stopped", { name: this.#options.name });
    if (this.#over.signal.aborted) throw this.#over.signal.reason;
  }

  #register(sshPort: number, tlsPort: number): Promise<RelayRegistration> {
    const { api, type, host, name } = this.#options;
    return api.registerRelay({ type, host, name, sshPort, tlsPort }, this.#signal);
  }

  /** New connections get these keys. Returns when the next ones are due, ms since 1970. */
  #use(registration: RelayRegistration): number {
    const { pki, ssh } = registration;
    const sshKeys = {
      host: {
        certificate: parseAuthorizedKey(ssh.serverCertificate).blob,
        privateKey: parsePrivateKey(ssh.serverPrivateKey),
      },
      userAuthority: parseAuthorizedKey(ssh.clientCAPublicKey).blob,
    };
    this.#door.setKeys(pki);
    this.#sshKeys = sshKeys;
    const now = new Date(this.#clock.now());
    const due = renewalTime({ ...validityOf(registration), now }).getTime();
    return Math.max(due, now.getTime() + RENEWAL_PAUSE);
  }

  #login(socket: Socket): void {
    if (!this.#sshKeys) return void socket.destroy();
    const from = plainAddress(socket.remoteAddress);
    if (!this.#room.admit(socket)) return this.#atDoor.tell("warn", NO_ROOM, { from });
    const source = sourceOf(from);
    let turnedOut: string | undefined;
    this.#lobby.enter(socket, (why) => turnedOut = why);
    acceptSsh({
      ...this.#sshKeys,
      socket,
      keyId: `client-${this.#options.name}`,
      pace: (work) => this.#pace.run(source, work),
      keepalive: this.#options.keepalive,
      refusal: (gatewayId) => this.#revocations.refusal(gatewayId),
      onRefused: ({ code, message }) =>
        this.#atDoor.tell("warn", "gateway at {from} refused: {message}", { from, code, message }),
    }).then(
      (session) => {
        this.#lobby.leave(socket);
        this.#registry.add(session);
        sayWhatIsOld(session);
        // The list may have come between the certificate and its signature.
        if (this.#revocations.hasGateway(session.gatewayId)) this.#dropRevoked();
      },
      (error) => {
        const { code, message } = asSallyportError(error);
        this.#atDoor.tell("info", "SSH connection from {from} ended before login: {message}", {
          from,
          code,
          message: turnedOut ?? message,
        });
      },
    );
  }

  /** Ends this relay if the platform has cut it or its own identity off. */
  async #keepInformed(): Promise<void> {
    const { api, name: relay } = this.#options;
    const onList = () => this.#dropRevoked();
    try {
      const options = { relay, api, list: this.#revocations, clock: this.#clock, onList };
      await keepInformed(options, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#over.abort(error);
      throw error;
    }
  }

  #dropRevoked(): void {
    for (const gatewayId of this.#registry.drop((id) => this.#revocations.hasGateway(id))) {
      log.warn("gateway {gatewayId} was revoked: its session is dropped", { gatewayId });
    }
    this.#door.dropRevoked();
  }

  async #keepRegistered(due: number, register: () => Promise<number>): Promise<never> {
    const folded = new FoldedLog(log, () => this.#clock.now());
    for (;;) {
      await waitUntil(this.#clock, () => due, this.#signal);
      try {
        due = await register();
        log.info("certificates renewed{after}", { after: folded.recovered() });
        folded.forget();
      } catch (error) {
        this.#signal.throwIfAborted();
        const failure = asSallyportError(error);
        const { code, message, hint } = failure;
        folded.failed("warn", "certificates not renewed: {message}", { code, message, hint });
        due = this.#clock.now() + Math.max(RENEWAL_RETRY, askedWait(failure));
      }
    }
  }

  async #keepBeating(): Promise<never> {
    const { api, type, name } = this.#options;
    const folded = new FoldedLog(log, () => this.#clock.now());
    for (;;) {
      let wait = HEARTBEAT_EVERY;
      try {
        await api.relayHeartbeat({ type, name }, this.#signal);
        const after = folded.recovered();
        if (after) log.info("heartbeats are taken again{after}", { after });
        folded.forget();
      } catch (error) {
        this.#signal.throwIfAborted();
        const failure = asSallyportError(error);
        const { code, message, hint } = failure;
        folded.failed("warn", "heartbeat not taken: {message}", { code, message, hint });
        wait = Math.max(FIRST_HEARTBEAT_EVERY, askedWait(failure));
      }
      await this.#clock.wait(wait, this.#signal);
    }
  }

  /** What ends with the signal's reason has ended well; anything else must be heard of. */
  #report(error: unknown): void {
    if (!this.#signal.aborted) log.error("{message}", { message: asSallyportError(error).message });
  }

  /** Nobody new comes in; streams that are open get a little time. */
  async #drain(): Promise<void> {
    const { drainTimeout = DRAIN_TIMEOUT } = this.#options;
    this.#stopListening();
    const { open, drained } = this.#door.drain();
    if (open > 0) log.info("waiting for {open} open streams", { open });
    const enough = new AbortController();
    const patience = this.#clock.wait(drainTimeout, enough.signal).catch(() => {});
    await Promise.race([drained, patience]);
    enough.abort();
  }

  #stopListening(): Promise<unknown> {
    if (!this.#ssh.listening) return this.#closed;
    this.#closed = once(this.#ssh, "close");
    this.#ssh.close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closed = this.#stopListening();
    this.#lobby.clear();
    await this.#door.close();
    await this.#registry.close();
    await closed;
  }
}

/** The real gateway's list is old: it is accepted, and the operator is told. */
function sayWhatIsOld({ gatewayId, software, old, algorithms: { kex, cs, sc } }: GatewaySession) {
  if (old === undefined) return;
  log.info("gateway {gatewayId} ({software}) has an old list, which is accepted: {old}", {
    gatewayId,
    software,
    old,
    kex,
    received: [cs.cipher, cs.mac].filter((name) => name !== "").join(" "),
    sent: [sc.cipher, sc.mac].filter((name) => name !== "").join(" "),
  });
}
