/**
 * Reading from a network socket into memory of one's own. What Deno reads otherwise gets new memory for
 * each piece of 64 KiB, which is a third of all garbage of a busy gateway. node:net can do this only for
 * a socket that it makes (`onread`), so the handle under the socket is told; where it is not as expected,
 * the socket goes on with "data" events.
 */
import type { Socket } from "node:net";

/** The handle under a socket, as far as it is used. */
interface Handle {
  onread?(data: unknown): void;
  useUserBuffer?(buffer: Uint8Array): void;
  getBytesRead?(): number;
  readStop(): number;
  readStart(): number;
}

/**
 * From now on `take` is given what comes, in `buffer`, instead of a "data" event; the bytes are valid
 * only until it returns. The end and errors are told by the socket's events as before. False if the
 * socket cannot do that. All sockets of a process may share one buffer.
 */
export function readDirectly(
  socket: Socket,
  buffer: Uint8Array,
  take: (bytes: Uint8Array) => void,
): boolean {
  const handle = (socket as Socket & { _handle?: Handle | null })._handle;
  const { onread, useUserBuffer, getBytesRead } = handle ?? {};
  if (!handle || !onread || !useUserBuffer || !getBytesRead) return false;
  let seen = getBytesRead.call(handle);
  handle.onread = (data) => {
    const read = getBytesRead.call(handle);
    const count = read - seen;
    seen = read;
    if (count <= 0) return onread.call(handle, data);
    take(data instanceof ArrayBuffer ? new Uint8Array(data, 0, count) : buffer.subarray(0, count));
  };
  useUserBuffer.call(handle, buffer);
  // It looks at `onread` when it starts.
  handle.readStop();
  handle.readStart();
  return true;
}
