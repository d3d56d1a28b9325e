/**
 * Turns for the work that strangers cause. A handshake costs a server more than it costs a stranger, and
 * all of this process is one thread: work that came in a heap would keep every tunnel waiting.
 */

/** Time that is worked off in one go, ms: what a tunnel may have to wait for. */
const BURST = 5;
/** Rest after work, in parts of its time: with 3, strangers have a quarter of the thread at most. */
const REST = 3;

/** Work in turns, one of each source after the other. Holds no more than its callers give it. */
export class Pace {
  readonly #now: () => number;
  readonly #later: (ms: number, then: () => void) => void;
  /** What waits, by source; the source whose turn it is comes first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Time worked since the last rest, ms. */
  #spent = 0;
  /** The last work ended then, and the rest ends then. */
  #lastEnd = -Infinity;
  #resting = false;

  /**
   * @param now ms, of any beginning
   * @param later calls `then` after so many ms
   */
  constructor(now = () => performance.now(), later = unheld) {
    this.#now = now;
    this.#later = later;
  }

  /**
   * Does `work` in its turn. True if that was at once; else the caller sees to it that its source sends
   * nothing more meanwhile. Work must not throw.
   */
  run(source: string, work: () => void): boolean {
    if (!this.#resting) {
      this.#do(work);
      if (this.#spent >= BURST) this.#rest();
      return true;
    }
    const others = this.#waiting.get(source);
    if (others) others.push(work);
    else this.#waiting.set(source, [work]);
    return false;
  }

  #do(work: () => void): void {
    const started = this.#now();
    // Idle time since the last work was rest as well.
    this.#spent = Math.max(0, this.#spent - (started - this.#lastEnd) / REST);
    work();
    this.#lastEnd = this.#now();
    this.#spent += this.#lastEnd - started;
  }

  #rest(): void {
    this.#resting = true;
    this.#later(this.#spent * REST, () => this.#goOn());
  }

  #goOn(): void {
    this.#spent = 0;
    while (this.#spent < BURST) {
      const [next] = this.#waiting;
      if (!next) {
        this.#resting = false;
        return;
      }
      const [source, works] = next;
      const work = works.shift()!;
      // Behind the others, until its next turn.
      this.#waiting.delete(source);
      if (works.length > 0) this.#waiting.set(source, works);
      this.#do(work);
    }
    this.#rest();
  }
}

function unheld(ms: number, then: () => void): void {
  const timer: unknown = setTimeout(then, ms);
  (timer as { unref?(): void }).unref?.();
}
