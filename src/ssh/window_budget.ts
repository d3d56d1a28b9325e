/**
 * How large the windows of a process's channels may be together: what a peer may send ahead of readers
 * is memory that has to be there. A channel begins small; its window doubles each time that its reader
 * keeps up, while there is room, and halves again when room is short.
 */

/** The window that every channel has, bytes. 2,048 channels of it are the whole budget. */
export const FIRST_WINDOW = 32 * 1024;
/** The largest window, bytes. */
export const LARGEST_WINDOW = 2 * 1024 * 1024;
/** All windows of a process together, bytes. */
const BUDGET = 64 * 1024 * 1024;
/** Part of the budget above which windows shrink instead of growing. */
const SHORT = 0.75;

/** The sum of all windows. */
export class WindowBudget {
  readonly #limit: number;
  #used = 0;

  /** @param limit bytes @default 64 MiB */
  constructor(limit: number = BUDGET) {
    this.#limit = limit;
  }

  /** Bytes that are given out. */
  get used(): number {
    return this.#used;
  }

  /** A new channel's window; given in any case, since the number of channels is limited elsewhere. */
  first(): number {
    this.#used += FIRST_WINDOW;
    return FIRST_WINDOW;
  }

  /**
   * By how much the window of a channel whose reader keeps up is to change, now that `taken` bytes of
   * it are free again: it can shrink by no more than these, because a window cannot be called back.
   */
  change(window: number, taken: number): number {
    let change = 0;
    if (this.#used > this.#limit * SHORT) {
      change = Math.max(-(window >> 1), -taken, FIRST_WINDOW - window);
    } else if (window < LARGEST_WINDOW) {
      change = Math.min(window, LARGEST_WINDOW - window, this.#limit - this.#used);
    }
    this.#used += change;
    return change;
  }

  /** A channel is gone, and its window with it. */
  giveBack(window: number): void {
    this.#used -= window;
  }
}

/** The budget of this process. */
export const processWindows: WindowBudget = new WindowBudget();
