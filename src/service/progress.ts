/** Whether a link makes progress, for a watchdog: not whether it is up, but whether it still tries. Pure. */
import type { LinkPhase } from "../link/state.ts";
import type { Keepalive } from "../ssh/session.ts";

/**
 * Longest time between two changes of a link that is not up, ms: the longest wait that a platform may
 * ask for (5 min), and what the attempts around it may take.
 */
export const LONGEST_ATTEMPT = 10 * 60_000;

/** Follows one link. */
export class Progress {
  readonly #silence: number;
  #phase: LinkPhase = "starting";
  #received = 0;
  #movedAt: number;

  /**
   * @param keepalive a session that is silent for longer than this is taken for lost by the session
   * itself; if it is still up after twice that time, nobody looks after it
   * @param now ms
   */
  constructor({ interval, timeout }: Keepalive, now: number) {
    this.#silence = 2 * (interval + timeout);
    this.#movedAt = now;
  }

  /** The link's state has changed; what changes while it is up is no sign of its session's life. */
  changed(phase: LinkPhase, now: number): void {
    if (phase !== this.#phase || phase !== "up") this.#movedAt = now;
    this.#phase = phase;
  }

  /** @param received bytes that the relay has sent in the newest session */
  isMade(received: number, now: number): boolean {
    if (received !== this.#received) {
      this.#received = received;
      this.#movedAt = now;
    }
    const allowed = this.#phase === "up" ? this.#silence : LONGEST_ATTEMPT;
    // A drain lasts as long as the person allows, and the manager has a time of its own for it.
    return this.#phase === "draining" || now - this.#movedAt <= allowed;
  }
}
