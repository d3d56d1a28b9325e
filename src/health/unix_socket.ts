/**
 * A UNIX socket in the file system: made with mode 0600, taken over from a program that has died, left
 * alone if anybody answers on it. At its end Deno removes it.
 */
import { once } from "node:events";
import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { SallyportError } from "../errors.ts";

/**
 * Listens on `path` by `serve`, which must be listening when it returns. Rejects with `port-in-use` if
 * another program answers there, with `listen` for what else is in the way.
 * @param setting the flag that a person can change the path with
 */
export async function listenOnSocket<T>(
  path: string,
  setting: string,
  serve: () => T,
): Promise<T> {
  const hint = `choose another path with ${setting}`;
  const refused = (why: string, cause?: unknown) =>
    new SallyportError("listen", `cannot listen on the socket ${path}: ${why}`, { hint, cause });
  const there = await lstat(path).catch(() => undefined);
  if (there) {
    if (!there.isSocket()) throw refused("there is something else of this name");
    if (await isAnswered(path)) {
      throw new SallyportError("port-in-use", `${path} is already in use by another program`, {
        hint: `end that program, or ${hint}`,
      });
    }
    await unlink(path).catch((error) => {
      throw refused(`a dead socket cannot be removed: ${error.message}`, error);
    });
  }
  try {
    return withoutRightsForOthers(serve);
  } catch (error) {
    const { name, message } = error as Error;
    throw refused(name === "NotFound" ? "there is no such folder" : message, error);
  }
}

/** Nothing else runs meanwhile, so the mask holds for the socket and nothing more. */
function withoutRightsForOthers<T>(make: () => T): T {
  if (Deno.build.os === "windows") return make();
  const mask = Deno.umask(0o177);
  try {
    return make();
  } finally {
    Deno.umask(mask);
  }
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch (error) {
    // A socket that may not be asked (EACCES) is somebody's, too.
    return (error as { code?: string }).code !== "ECONNREFUSED";
  } finally {
    socket.destroy();
  }
}
