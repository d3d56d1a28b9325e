/**
 * How a session gives way to one with newer certificates. Beside a relay that takes a successor the new
 * connection comes first and the old one ends when its channels have: nobody sees a gap. A relay that
 * keeps one connection a gateway closes the second one; then the session moves in a quiet moment, or
 * shortly before its certificate ends.
 */
import { asSallyportError, type SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import type { SshSession } from "../ssh/client.ts";
import { type Clock, waitUntil } from "./clock.ts";
import type { Registered } from "./register.ts";
import type { Rotation } from "./rotation.ts";
import type { LinkState } from "./state.ts";

const log = logger("link");

/** How long before the end of the session's certificate a quiet moment is looked for, ms. */
const MOVE_BEFORE_END = 10 * 60_000;
/** Less than this is not waited any more, ms. */
const MOVE_AT_THE_LATEST = 60_000;
const LOOK_FOR_QUIET_EVERY = 1_000;
/** Time between two attempts to bring up a successor, ms. */
const TRY_AGAIN_AFTER = 60_000;
/** How often an old session is looked at, ms. */
const LOOK_AT_OLD_EVERY = 1_000;

/** A live session and what it was made with. */
export interface LiveSession {
  session: SshSession;
  registered: Registered;
}

/** What a succession needs of its surroundings. */
export interface SuccessionContext {
  rotation: Pick<Rotation, "newest" | "open">;
  connect(registered: Registered, signal: AbortSignal): Promise<SshSession>;
  state: LinkState;
  clock: Clock;
}

/** The coming of one session's successor. */
export class Succession {
  readonly #old: LiveSession;
  readonly #context: SuccessionContext;
  #attempt: Promise<LiveSession> | undefined;

  constructor(old: LiveSession, context: SuccessionContext) {
    this.#old = old;
    this.#context = context;
  }

  /**
   * The successor whose connection is being made, if one is. A relay may end the old session before the
   * new one has answered; that is then no loss.
   */
  get attempt(): Promise<LiveSession> | undefined {
    return this.#attempt;
  }

  /**
   * Resolves with a successor that is up beside the old session, or with undefined when the old session
   * should be closed and another one made. Rejects with the signal's reason.
   */
  async run(signal: AbortSignal): Promise<LiveSession | undefined> {
    const { rotation, state, clock } = this.#context;
    const folded = new FoldedLog(log, () => clock.now());
    await state.until(() => rotation.newest !== this.#old.registered, signal);
    for (;;) {
      try {
        return await (this.#attempt = this.#connect(signal));
      } catch (error) {
        signal.throwIfAborted();
        const { code, message, hint } = asSallyportError(error);
        if (code === "ssh-closed" && this.#staysWithItsRelay) {
          log.info("the relay keeps one connection a gateway: the session moves in a quiet moment");
          break;
        }
        folded.failed("warn", "no successor of the session yet: {message}", {
          message,
          code,
          hint,
        });
      } finally {
        this.#attempt = undefined;
      }
      await clock.wait(TRY_AGAIN_AFTER, signal);
    }
    await this.#quietMoment(signal);
    log.info("the SSH session moves to the new certificates");
    return undefined;
  }

  /** Another relay that hangs up does not do so because it holds the old session. */
  get #staysWithItsRelay(): boolean {
    const [to, from] = [this.#context.rotation.newest!.address, this.#old.registered.address];
    return to.host === from.host && to.port === from.port;
  }

  async #connect(signal: AbortSignal): Promise<LiveSession> {
    const registered = this.#context.rotation.newest!;
    return { session: await this.#context.connect(registered, signal), registered };
  }

  async #quietMoment(signal: AbortSignal): Promise<void> {
    const { rotation, clock } = this.#context;
    const { notBefore, notAfter } = this.#old.registered.validity;
    const end = notAfter.getTime();
    // Certificates that live for minutes (in trials) leave less room.
    const life = end - notBefore.getTime();
    const from = end - Math.min(MOVE_BEFORE_END, life / 6);
    const latest = end - Math.min(MOVE_AT_THE_LATEST, life / 60);
    await waitUntil(clock, () => from, signal);
    while (rotation.open > 0 && clock.now() < latest) {
      await clock.wait(LOOK_FOR_QUIET_EVERY, signal);
    }
  }
}

/** Lets an old session's channels end, then closes it; at the latest when its certificate does. */
export async function retire(
  { session, registered }: LiveSession,
  clock: Clock,
  signal: AbortSignal,
): Promise<SallyportError | undefined> {
  const end = registered.validity.notAfter.getTime();
  const over = new AbortController();
  void session.closed.then(() => over.abort());
  const ends = AbortSignal.any([signal, over.signal]);
  try {
    while (session.channels > 0 && clock.now() < end) await clock.wait(LOOK_AT_OLD_EVERY, ends);
  } catch {
    // It has ended by itself, or the gateway stops.
  }
  session.close();
  return await session.closed;
}
