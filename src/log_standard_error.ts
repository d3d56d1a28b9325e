/** What standard error is: a terminal, the journal, or a file or pipe. */
import { fstatSync } from "node:fs";
import process from "node:process";
import type { LineStyle } from "./log_line.ts";

type Environment = Record<string, string | undefined>;

/** How lines are to look there. */
export function styleOfStandardError(env: Environment = process.env): LineStyle {
  if (isJournal(env)) return { journal: true };
  return { colour: wantsColour(process.stderr, env) };
}

/** Whether to use colours on a stream: only on a terminal, and not with NO_COLOR (no-color.org). */
export function wantsColour({ isTTY }: { isTTY?: boolean }, env: Environment): boolean {
  return isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
}

/**
 * Whether standard error is connected to journald: JOURNAL_STREAM names the device and the inode of
 * what the service manager connected (systemd.exec(5)), and a redirection is something else.
 */
export function isJournal({ JOURNAL_STREAM }: Environment): boolean {
  if (!JOURNAL_STREAM) return false;
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
