/** `sallyport gateway start`: puts the parts together and owns them until the end. */
import { AuditFile, type AuditOptions } from "../channel/audit.ts";
import { OPEN_POLICY, type TargetPolicy } from "../channel/policy.ts";
import { ChannelServer } from "../channel/server.ts";
import process from "node:process";
import { type Dial, dialer } from "../egress/dial.ts";
import { proxiedDialer } from "../egress/proxy.ts";
import type { PlatformApi } from "../enroll/api.ts";
import { apiBase } from "../enroll/call.ts";
import { type Auth, authorisedApi } from "../enroll/credentials.ts";
import { StateFile } from "../enroll/state.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import type { KubernetesFiles } from "../forward/kubernetes.ts";
import { type HealthServer, serveHealth } from "../health/server.ts";
import { logger } from "../log.ts";
import type { SshSession } from "../ssh/client.ts";
import { connectionLimit } from "../open_files.ts";
import { DEFAULT_MAX_CHANNELS } from "../ssh/connection.ts";
import type { Keepalive } from "../ssh/session.ts";
import { Backoff, type BackoffOptions } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { connectOnce } from "./connect_once.ts";
import { keepBeating } from "./heartbeat.ts";
import { keepToPreferred } from "./preferred_relay.ts";
import { registrar, type RegistrationApi } from "./register.ts";
import { Rotation } from "./rotation.ts";
import { sightRelays } from "./select_relay.ts";
import { LinkState } from "./state.ts";
import { supervise } from "./supervisor.ts";

const log = logger("link");

/** How a gateway is set up. */
export interface GatewayOptions {
  name: string;
  /** With or without `/api` or a trailing slash. @default https://app.infisical.com */
  domain?: string;
  auth: Auth;
  /** How the API is reached. @default the global fetch */
  fetch?: typeof fetch;
  /** @default the nearest healthy relay */
  relayName?: string;
  /** Where an enrolled gateway's token is kept. */
  stateDir: string;
  /** `host:port`, `unix:/path` or `off`. @default 127.0.0.1:8222 */
  healthListen?: string;
  keepalive?: Keepalive;
  /** Time for connecting to a relay, ms. @default 30,000 */
  connectTimeout?: number;
  /** Time for connecting to a target, ms. @default 30,000 */
  targetTimeout?: number;
  /** TCP streams without a byte either way for this long are ended, ms. @default never */
  idleTimeout?: number;
  /** Channels at one time; more are refused. @default 2048 */
  maxChannels?: number;
  /** How long open channels may go on when the gateway stops, ms. @default 10,000 */
  drainTimeout?: number;
  backoff?: BackoffOptions;
  kubernetes?: KubernetesFiles;
  /** Which targets may be reached. @default all but those that never may without a word */
  policy?: Pick<TargetPolicy, "allow" | "deny">;
  /** Where it is written down who reached what. @default nowhere */
  audit?: AuditOptions;
  /** To targets. @default egress/dial.ts */
  dialTarget?: Dial;
  /** To relays. @default through the proxy that the environment names, if any */
  dialRelay?: Dial;
  /** @default an API client for `domain` that uses `auth` */
  api?: RegistrationApi & Pick<PlatformApi, "gatewayHeartbeat">;
  clock?: Clock;
}

/** A gateway at work. */
export interface RunningGateway {
  state: LinkState;
  /**
   * Resolves when the gateway has stopped because its signal was aborted; rejects if it cannot work
   * at all (refused credentials, wrong names) before the tunnel was up for the first time, and with
   * `revoked` as soon as it hears that the platform has cut it off.
   */
  finished: Promise<void>;
  /** `host:port` or `unix:/path` of the health endpoint; undefined if it is off. */
  healthAddress: string | undefined;
  /** Bytes that the relay has sent in the newest session. */
  received(): number;
}

/**
 * Starts a gateway. Resolves as soon as it is at work, which is before the tunnel is up: see
 * `state.until`. Rejects if something on this host is in the way (`port-in-use`, `usage`).
 */
export async function startGateway(
  options: GatewayOptions,
  signal: AbortSignal,
): Promise<RunningGateway> {
  const { name, clock = systemClock } = options;
  if (name.trim() === "") throw new SallyportError("usage", "the gateway needs a name");
  warnOfPlainHttp(options.domain);
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const state = new LinkState(name, clock.now);
  const api = options.api ?? authorisedApi(options.auth, {
    domain: options.domain,
    state: new StateFile(options.stateDir, name),
    fetch: options.fetch,
    signal: ends,
  });
  const audit = options.audit && new AuditFile(options.audit);
  const health = await openHealth(options, state, audit);
  const policy = { ...OPEN_POLICY, ...options.policy, health: health?.bound };
  const rotation = openRotation(options, { api, state, policy, audit });
  let newest: SshSession | undefined;
  state.measureBy({ channels: () => rotation.counts, latency: () => newest?.latency });
  const onSession = (session: SshSession) => newest = session;
  const finished = run(options, { api, state, rotation, clock, onSession }, ends).finally(
    async () => {
      over.abort();
      await rotation.close();
      await health?.close();
      audit?.close();
    },
  );
  // Whoever awaits it still gets the error; nobody awaiting it yet is no reason to crash.
  finished.catch(() => {});
  const received = () => newest?.traffic.received ?? 0;
  return { state, finished, healthAddress: health?.address, received };
}

async function openHealth(
  { healthListen, clock = systemClock }: GatewayOptions,
  state: LinkState,
  audit: AuditFile | undefined,
): Promise<HealthServer | undefined> {
  try {
    return await serveHealth(state, healthListen, clock.now);
  } catch (error) {
    audit?.close();
    throw error;
  }
}

function relayDialer({ dialRelay }: GatewayOptions): Dial {
  return dialRelay ?? proxiedDialer(dialer("relay-unreachable", "relay"), process.env);
}

interface Parts {
  api: RegistrationApi & Pick<PlatformApi, "gatewayHeartbeat">;
  state: LinkState;
  rotation: Rotation;
  clock: Clock;
  /** Told of each session that is up. */
  onSession(session: SshSession): void;
}

/** The link, its certificates and its heartbeat, side by side, until the link ends. */
async function run(options: GatewayOptions, parts: Parts, signal: AbortSignal): Promise<void> {
  const { api, state, rotation, clock, onSession } = parts;
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const dial = relayDialer(options);
  const { keepalive, connectTimeout: timeout } = options;
  const maxChannels = connectionLimit(options.maxChannels ?? DEFAULT_MAX_CHANNELS, "streams");
  const look = async () =>
    await sightRelays({
      relays: await api.relays(ends),
      dial,
      now: clock.now(),
      signal: ends,
    });
  // Whichever task learns of it first: a gateway that was cut off has nothing left to do.
  const cutOff = new AbortController();
  const beside = [rotation.keepFresh(ends), keepBeating({ api, state, clock }, ends)];
  if (options.relayName === undefined) {
    beside.push(keepToPreferred({ rotation, state, clock, look }, ends));
  }
  const all = Promise.all(beside.map((task) => background(task, ends, cutOff)));
  try {
    await supervise({
      rotation,
      state,
      clock,
      namedRelay: options.relayName !== undefined,
      drainTimeout: options.drainTimeout,
      backoff: new Backoff(options.backoff),
      connect: async (registered, stop) => {
        const session = await connectOnce({
          registered,
          dial,
          keepalive,
          maxChannels,
          timeout,
          now: clock.now,
          onChannel: (channel) => rotation.accept(channel),
        }, stop);
        onSession(session);
        return session;
      },
    }, AbortSignal.any([signal, cutOff.signal]));
    if (cutOff.signal.aborted) throw cutOff.signal.reason;
  } catch (error) {
    state.fault(asSallyportError(error), "down");
    throw error;
  } finally {
    over.abort();
    await all;
  }
}

interface ChannelParts {
  api: RegistrationApi;
  state: LinkState;
  policy: TargetPolicy;
  audit: AuditFile | undefined;
}

function openRotation(
  options: GatewayOptions,
  { api, state, policy, audit }: ChannelParts,
): Rotation {
  const { name, auth, relayName, clock = systemClock } = options;
  return new Rotation({
    register: registrar({
      api,
      name,
      enrolled: auth.method === "enroll-token",
      relayName,
      dial: relayDialer(options),
      now: clock.now,
    }),
    openChannels: (pki) =>
      new ChannelServer({
        pki,
        dial: options.dialTarget,
        connectTimeout: options.targetTimeout,
        idleTimeout: options.idleTimeout,
        kubernetes: options.kubernetes,
        policy,
        audit,
      }),
    state,
    clock,
  });
}

/** What ends with the signal's reason has ended well; anything else must be heard of. */
async function background(
  task: Promise<unknown>,
  signal: AbortSignal,
  cutOff: AbortController,
): Promise<void> {
  try {
    await task;
  } catch (error) {
    if (signal.aborted) return;
    const failure = asSallyportError(error);
    log.error("{message}", { message: failure.message });
    if (failure.code === "revoked") cutOff.abort(failure);
  }
}

function warnOfPlainHttp(domain: string | undefined): void {
  const { protocol, hostname } = new URL(apiBase(domain));
  const here = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (protocol === "http:" && !here) {
    log.warn("{domain} is plain http: tokens and keys cross the network unprotected", { domain });
  }
}
