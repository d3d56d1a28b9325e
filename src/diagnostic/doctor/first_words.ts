/** What the other side of a fresh connection says first, when it is greeted as SSH is. */
import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { VERSION } from "../../version.ts";

/** RFC 4253 §4.2 allows lines before the identification; this much is read, bytes. */
const MOST = 8 * 1024;

/**
 * Greets and reads: up to the end of an SSH identification, the end of the connection, or as much as is
 * read at most. The socket is closed afterwards. Rejects with its error, or the signal's reason.
 */
export function readFirstWords(socket: Socket, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let words = "";
    const settle = (act: () => void) => {
      signal.removeEventListener("abort", abort);
      socket.removeAllListeners();
      socket.on("error", () => {});
      socket.destroy();
      act();
    };
    const done = () => settle(() => resolve(words));
    // What came before a reset, or too slowly, tells more than that.
    const failed = (why: unknown) => words === "" ? settle(() => reject(why)) : done();
    const abort = () => failed(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    socket.on("error", failed);
    socket.on("end", done).on("close", done);
    socket.on("data", (chunk: Buffer) => {
      words += chunk.toString("latin1");
      if (isTelling(words) || words.length > MOST) done();
    });
    // A server of another kind waits to be spoken to.
    socket.write(`SSH-2.0-sallyport_${VERSION}\r\n`);
    socket.resume();
  });
}

/** Lines of text may stand before the identification; HTTP, and what is no text, are no such lines. */
function isTelling(words: string): boolean {
  const first = words.charCodeAt(0);
  const binary = first > 126 || first < 32 && !/^[\t\r\n]/.test(words);
  return binary || words.startsWith("HTTP/") || /^SSH-[^\n]*\n/m.test(words);
}
