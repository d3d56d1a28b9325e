/**
 * How many connections this process can have open, where files are limited (ulimit -n). A server of Deno's (2.9.4) that meets the limit of
 * open files when it accepts a connection takes none ever after, and says nothing: it must not come to
 * that. There is no call that tells the limit, and /proc is closed to programs with few permissions; so
 * it is tried out.
 */
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { logger } from "./log.ts";

const log = logger("files");

/**
 * Files for each connection: under a flood Deno accepts a whole queue (511) before the first of it that
 * is too many is closed.
 */
const FILES_EACH = 2;

/** Files for everything else: name lookups, state, logs; Deno itself ends where it needs one in vain. */
const RESERVE = 32;

/**
 * `wanted` connections, or as many as there is room for. Takes some milliseconds for each thousand.
 * @param open opens one more file and gives its descriptor; for tests
 */
export function affordableConnections(
  wanted: number,
  open: () => number = () => openSync(devNull, "r"),
): number {
  const files: number[] = [];
  try {
    while (files.length < wanted * FILES_EACH + RESERVE) files.push(open());
    return wanted;
  } catch (error) {
    const { code } = error as { code?: string };
    // What says nothing of the limit changes nothing.
    if (code !== "EMFILE" && code !== "ENFILE") return wanted;
    return Math.max(0, Math.floor((files.length - RESERVE) / FILES_EACH));
  } finally {
    for (const file of files) closeSync(file);
  }
}

/** So many connections fit into any limit in use; below it there is nothing to try out. */
const SURELY = 64;

/**
 * A limit of `wanted` connections, or of as many as there is room for. It is told how many there are, and
 * tries out how many more there can be when that first matters.
 * @param what they are called, in the log
 */
export function connectionLimit(
  wanted: number,
  what: string,
  open?: () => number,
): (present: number) => number {
  let most: number | undefined;
  return (present) => {
    if (most !== undefined) return most;
    if (present < SURELY || present >= wanted) return wanted;
    // Those that are there may have opened nothing yet.
    most = Math.max(present, affordableConnections(wanted, open));
    if (most < wanted) tellShortage(what, most, wanted);
    return most;
  };
}

/** Says that there can be fewer connections than are wanted, and how there can be more. */
export function tellShortage(what: string, most: number, wanted: number): void {
  const text =
    "{most} {what} at a time instead of {wanted}: this process may not have more files " +
    "open; raise its limit (ulimit -n, LimitNOFILE)";
  log.warn(text, { most, what, wanted });
}
