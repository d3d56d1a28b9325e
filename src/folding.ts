/**
 * Folding of repeated log lines: what happens again and again is told when it is new, then ever more
 * rarely, with how often it was.
 */
import type { Logger } from "@logtape/logtape";

/** After the first line, the next repetition is told once this has passed, ms. */
const TELL_AGAIN_AFTER = 60_000;
/** After that, repetitions are told this often, ms. */
const TELL_AGAIN_EVERY = 10 * 60_000;
/** Kinds of lines that are remembered; what is rarer than so many others is told anew. */
const MAX_KINDS = 32;
/** Part of a message that tells its kind, characters. */
const MAX_KIND = 500;

/** What a folded line is made of. */
export interface FoldedParts {
  message?: string;
  code?: string;
  /** What the person can do about it, put behind the line. */
  hint?: string;
  /** Whom it concerns, if the same of somebody else is to be told for itself. */
  about?: string;
  [part: string]: unknown;
}

/** How often something was repeated, and when it was first seen, ms since 1970. */
export interface Repeated {
  repeats: number;
  since: number;
}

/** Counts repetitions, and says which of them are to be told. Pure. */
export class Repeats {
  readonly #kinds = new Map<string, Repeated & { told: number }>();

  /**
   * `kind` has happened at `now` (ms since 1970). Gives nothing if it is not to be told; else how often
   * it was repeated, which is 0 if it is new.
   */
  note(kind: string, now: number): Repeated | undefined {
    const known = this.#kinds.get(kind) ?? { repeats: -1, since: now, told: -Infinity };
    // Put behind the others, so that the first is the one that was not heard of for longest.
    this.#kinds.delete(kind);
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.delete(this.#kinds.keys().next().value!);
    this.#kinds.set(kind, known);
    known.repeats++;
    if (now - known.told < (known.told === known.since ? TELL_AGAIN_AFTER : TELL_AGAIN_EVERY)) {
      return undefined;
    }
    known.told = now;
    return { repeats: known.repeats, since: known.since };
  }

  /** Whatever happens next is new. */
  forget(): void {
    this.#kinds.clear();
  }
}

/** A logger for what may happen again and again. What is folded away is a line of level `debug`. */
export class FoldedLog {
  readonly #repeats = new Repeats();
  readonly #log: Logger;
  readonly #now: () => number;
  #failures = 0;
  #since = 0;

  /** @param now ms since 1970 */
  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** Logs a line unless the same was told shortly before. */
  tell(level: "info" | "warn", text: string, parts: FoldedParts): void {
    const now = this.#now();
    const { hint, about: _, ...shown } = parts;
    const repeated = this.#repeats.note(kindOf(text, parts), now);
    if (!repeated) return this.#log.debug(text, shown);
    const { repeats, since } = repeated;
    const advice = hint === undefined ? "" : "; {hint}";
    const again = repeats === 0 ? "" : " (the same {times} since {firstTime})";
    this.#log[level](text + advice + again, {
      ...shown,
      ...(hint !== undefined && { hint }),
      ...(repeats > 0 && { repeats, times: times(repeats, "time"), firstTime: timeOf(since, now) }),
    });
  }

  /** The same for a failure, which counts until `recovered`. */
  failed(level: "info" | "warn", text: string, parts: FoldedParts): void {
    if (this.#failures++ === 0) this.#since = this.#now();
    this.tell(level, text, parts);
  }

  /**
   * The failures are over. Gives how many there were and for how long, to be put behind a line, for
   * example " (after 12 failures in 3 min 20 s)"; "" if there was none.
   */
  recovered(): string {
    if (this.#failures === 0) return "";
    const failures = times(this.#failures, "failure");
    this.#failures = 0;
    return ` (after ${failures} in ${formatDuration(this.#now() - this.#since)})`;
  }

  /** What happens next is told, whether it has been told before or not. */
  forget(): void {
    this.#repeats.forget();
  }
}

/** Numbers, addresses and ids in a message change where nothing else does: they make no new kind. */
function kindOf(text: string, { code = "", message = "", about = "" }: FoldedParts): string {
  return `${text}\n${code}\n${about}\n${message.slice(0, MAX_KIND).replace(/\S*\d\S*/g, "#")}`;
}

function times(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

/** `12:00:01`, as in the log's own times (UTC), with the date once that is not clear any more. */
function timeOf(then: number, now: number): string {
  const text = new Date(then).toISOString().slice(0, 19).replace("T", " ");
  return now - then < 24 * 60 * 60_000 ? text.slice(11) : text;
}

/** For example `850 ms`, `12 s`, `3 min 20 s`, `5 h 1 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const [large, small] = days > 0
    ? [`${days} d`, `${hours % 24} h`]
    : hours > 0
    ? [`${hours} h`, `${minutes % 60} min`]
    : minutes > 0
    ? [`${minutes} min`, `${seconds % 60} s`]
    : [`${seconds} s`, "0"];
  return small.startsWith("0") ? large : `${large} ${small}`;
}
