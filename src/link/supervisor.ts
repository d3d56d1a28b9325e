/**
 * The policy of the link: resolve, connect, serve, wait, for as long as the gateway runs. Each step is
 * somewhere else (rotation.ts, connect_once.ts, backoff.ts); here is what follows what.
 */
import { asSallyportError, SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import type { SshSession } from "../ssh/client.ts";
import { askedWait, type Backoff, STABLE_AFTER } from "./backoff.ts";
import { type Clock, waitUntil } from "./clock.ts";
import type { Registered } from "./register.ts";
import { formatRelayAddress } from "./relay_address.ts";
import { callsForNewCertificates, type Rotation } from "./rotation.ts";
import type { LinkState } from "./state.ts";
import { type LiveSession, retire, Succession } from "./succession.ts";

const log = logger("link");

/** After so many failures in a row a named relay may have moved: the platform is asked again. */
const MOVED_AFTER = 3;
/**
 * How long a session may outlive its certificates, ms: when a host's clock is put forward, the renewal
 * that this makes due comes first.
 */
const AFTER_THE_END = 60_000;
/** The platform is not asked where to go more often than this, ms. */
const ASK_AGAIN_EVERY = 10_000;
/** How long open channels may go on when the gateway stops, ms. */
export const DRAIN_TIMEOUT = 10_000;
/** What the supervisor drives. */
export interface SupervisorOptions {
  rotation: Rotation;
  /** One attempt. */
  connect(registered: Registered, signal: AbortSignal): Promise<SshSession>;
  backoff: Backoff;
  state: LinkState;
  clock: Clock;
  /** The person named the relay: there is no other to go to. */
  namedRelay: boolean;
  /** How long open channels may go on when the gateway stops, ms. @default 10,000 */
  drainTimeout?: number;
}

/**
 * Keeps the link up until `signal` aborts; resolves then. Rejects with `revoked`, and before the link
 * was up for the first time with every other error that trying again cannot help.
 */
export async function supervise(options: SupervisorOptions, signal: AbortSignal): Promise<void> {
  const { rotation, connect, backoff, state, clock } = options;
  const course = new Course(options);
  while (!signal.aborted) {
    try {
      course.begin();
      const registered = await rotation.current(course.avoid, signal);
      course.connecting(registered);
      const session = await connect(registered, signal);
      course.up();
      const reason = await serve({ session, registered }, options, course, signal);
      if (signal.aborted) break;
      if (!reason) continue;
      course.lost(reason);
    } catch (error) {
      if (signal.aborted) break;
      course.failed(asSallyportError(error));
    }
    const wait = course.pause(backoff);
    await clock.wait(wait, signal).catch(() => {});
  }
  state.update({ phase: "down" });
  log.info("the gateway has stopped");
}

/** How serving one session ended. */
type Outcome =
  | { successor: LiveSession }
  | { lost: SallyportError }
  /** The session is to be replaced by a new one, at once. */
  | { move: true };

/**
 * Serves sessions, each followed by its successor, until one is lost (gives the reason), one must move
 * (gives undefined), or the gateway stops (gives undefined). All are closed afterwards.
 */
async function serve(
  first: LiveSession,
  options: SupervisorOptions,
  course: Course,
  signal: AbortSignal,
): Promise<SallyportError | undefined> {
  const { clock } = options;
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const retiring = new Set<Promise<unknown>>();
  let live = first;
  try {
    for (;;) {
      const outcome = await outcomeOf(live, options, ends);
      if ("lost" in outcome) return outcome.lost;
      if ("move" in outcome) return undefined;
      const old: Promise<unknown> = retire(live, clock, ends).finally(() => retiring.delete(old));
      retiring.add(old);
      live = outcome.successor;
      course.succeeded(live.registered);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    await drain(options);
    return undefined;
  } finally {
    over.abort();
    live.session.close();
    await Promise.all([live.session.closed, ...retiring]);
  }
}

async function outcomeOf(
  live: LiveSession,
  options: SupervisorOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const succession = new Succession(live, options);
  const comes = succession.run(ends)
    .then((successor): Outcome => successor ? { successor } : { move: true });
  const expires = expiry(live, options.clock, ends);
  const lost = live.session.closed.then((reason): Outcome => ({
    lost: reason ?? new SallyportError("ssh-closed", "session closed"),
  }));
  try {
    const outcome = await Promise.race([comes, lost, expires]);
    if (!("lost" in outcome)) return outcome;
    const successor = await succession.attempt?.catch(() => undefined);
    return successor ? { successor } : outcome;
  } finally {
    over.abort();
    comes.catch(() => {});
    expires.catch(() => {});
  }
}

/** A session has no right to go on without certificates, and no client could come through it. */
async function expiry(
  { registered: { validity: { notAfter } } }: LiveSession,
  clock: Clock,
  signal: AbortSignal,
): Promise<Outcome> {
  await waitUntil(clock, () => notAfter.getTime() + AFTER_THE_END, signal);
  return {
    lost: new SallyportError(
      "certificate-validity",
      `the session's certificates have ended at ${notAfter.toISOString()}, and there are no new ones`,
      { hint: "see why the platform gives none in the lines before, and check this host's clock" },
    ),
  };
}

/** No new channels; those that are open get a little time. */
async function drain({ rotation, state, clock, drainTimeout = DRAIN_TIMEOUT }: SupervisorOptions) {
  state.update({ phase: "draining" });
  const enough = new AbortController();
  const patience = clock.wait(drainTimeout, enough.signal).catch(() => {});
  await Promise.race([rotation.drain(), patience]);
  enough.abort();
}

/** What happened so far, as far as it decides what happens next. */
class Course {
  /** Relays that failed since the link was last up. */
  readonly avoid = new Set<string>();
  readonly #options: SupervisorOptions;
  readonly #folded: FoldedLog;
  #everUp = false;
  #failures = 0;
  #relay: Registered | undefined;
  #last: SallyportError | undefined;
  #askedAt = -Infinity;
  #upAt = Infinity;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#folded = new FoldedLog(log, () => options.clock.now());
  }

  /** A new round: what fails before `connecting` is not a relay's fault. */
  begin(): void {
    this.#relay = undefined;
  }

  connecting(registered: Registered): void {
    this.#relay = registered;
    this.#options.state.update({
      phase: "connecting",
      relay: { name: registered.relayName, address: formatRelayAddress(registered.address) },
    });
  }

  up(): void {
    const { state, clock, backoff } = this.#options;
    this.#upAt = clock.now();
    backoff.up(this.#upAt);
    const reconnects = state.snapshot.reconnects + (this.#everUp ? 1 : 0);
    this.#everUp = true;
    this.#failures = 0;
    this.avoid.clear();
    state.update({ phase: "up", reconnects });
    const after = this.#folded.recovered();
    const text = reconnects > 0
      ? "tunnel is up again through relay {relay}{after}"
      : "tunnel is up through relay {relay}{after}";
    this.#folded.tell("info", text, { relay: this.#where, after });
  }

  /** A session has given way to one with newer certificates, while both were up. */
  succeeded(registered: Registered): void {
    this.#relay = registered;
    this.#options.state.update({
      relay: { name: registered.relayName, address: formatRelayAddress(registered.address) },
    });
    log.info("the tunnel goes on with new certificates, through relay {relay}", {
      relay: this.#where,
    });
  }

  /** A session that was up has ended. */
  lost(reason: SallyportError): void {
    const { message, code } = reason;
    this.#note(reason);
    // Of a link that comes and goes, not every coming and going is told.
    if (this.#options.clock.now() - this.#upAt >= STABLE_AFTER) this.#folded.forget();
    this.#folded.tell("warn", "tunnel lost: {message}", { message, code });
  }

  /** An attempt has failed. Throws if trying again makes no sense. */
  failed(error: SallyportError): void {
    const relay = this.#relay;
    const another = relay !== undefined && !this.#options.namedRelay;
    if (error.code === "revoked") throw error;
    if (!this.#everUp && !error.retryable && !another) throw error;
    this.#note(error);
    this.#failures++;
    if (!relay) return;
    if (another && relay.relayName !== undefined) this.avoid.add(relay.relayName);
    if (this.#shouldAsk(error, another)) {
      this.#askedAt = this.#options.clock.now();
      this.#options.rotation.discard();
    }
  }

  /** Whether the platform should be asked for certificates, and so for an address, anew. */
  #shouldAsk(error: SallyportError, another: boolean): boolean {
    if (callsForNewCertificates(error)) return true;
    const enough = another || this.#failures >= MOVED_AFTER;
    return enough && this.#options.clock.now() - this.#askedAt >= ASK_AGAIN_EVERY;
  }

  /** How long to wait now, ms; said in the log, with why. */
  pause(backoff: Backoff): number {
    const error = this.#last;
    const cheap = error?.code === "relay-unreachable";
    const { message, code, hint } = error ?? {};
    const next = backoff.next(this.#options.clock.now(), { cheap });
    const wait = Math.max(next, askedWait(error ?? {}));
    const text = "trying again in {wait} ms: {message}";
    this.#folded.failed("info", text, { wait, message, code, hint });
    return wait;
  }

  get #where(): string {
    if (!this.#relay) return "";
    const { relayName, address } = this.#relay;
    const at = formatRelayAddress(address);
    return relayName === undefined ? at : `${relayName} at ${at}`;
  }

  #note(error: SallyportError): void {
    this.#last = error;
    this.#options.state.fault(error, "down");
  }
}
