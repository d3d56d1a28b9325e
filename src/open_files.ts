/**
 * How many connections this process can have open. A server of Deno's (2.9.4) that meets the limit of
 * open files when it accepts a connection takes none ever after, and says nothing: it must not come to
 * that. There is no call that tells the limit, and /proc is closed to programs with few permissions; so
 * it is tried out.
 */
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";

/**
 * Files for each connection: under a flood Deno accepts a whole queue (511) before the first of it that
 * is too many is closed.
 */
const FILES_EACH = 2;

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
    while (files.length < wanted * FILES_EACH) files.push(open());
    return wanted;
  } catch (error) {
    const { code } = error as { code?: string };
    // What says nothing of the limit changes nothing.
    if (code !== "EMFILE" && code !== "ENFILE") return wanted;
    return Math.max(1, Math.floor(files.length / FILES_EACH));
  } finally {
    for (const file of files) closeSync(file);
  }
}
