/**
 * Writing to a peer that ended without having sent a byte.
 *
 * Deno 2.9.4 takes such a peer for lost: as soon as a write has to wait for room in the system's
 * buffer, it fails all that are waiting with EPIPE (libs/core/uv_compat/tcp.rs, poll_tcp_handle). The
 * peer may well be reading: `nc -N` and every program that only takes do just that. A socket that has
 * received one byte is spared, and so are pipes. So until the first byte comes, writes go through a
 * second descriptor of the same socket, which Deno is told is a pipe.
 */
import { Socket } from "node:net";
import process from "node:process";

/** What is private: test/forward/silent_end_test.ts fails if it changes, or is no longer needed. */
interface TcpHandle {
  /** A duplicate of the descriptor; negative on Windows. */
  fdForIpc?(): number;
}

interface PipeHandle {
  open(fd: number): number;
}

interface PipeBinding {
  Pipe: new (type: number) => PipeHandle;
  constants: { SOCKET: number };
}

type Write = (
  chunk: unknown,
  encoding: BufferEncoding,
  done: (error?: Error | null) => void,
) => void;

/**
 * Lets the writes of a connected TCP socket, on which nothing was written yet, outlive the peer's end.
 * Does nothing where the fault is not or cannot be avoided: a socket that has received bytes, TLS,
 * Windows.
 */
export function outliveSilentEnd(socket: Socket): void {
  const handle = (socket as Socket & { _handle?: TcpHandle | null })._handle;
  if (socket.bytesRead > 0 || socket.destroyed || !handle?.fdForIpc) return;
  const writer = pipeOver(handle.fdForIpc());
  if (!writer) return;
  const inner = socket as unknown as { _write?: Write; _writev?: unknown };
  const restore = () => {
    delete inner._write;
    delete inner._writev;
    writer.destroy();
  };
  // The socket hands over one write at a time, so that none is under way when the way changes.
  inner._write = (chunk, encoding, done) => {
    if (socket.bytesRead === 0) return void writer.write(chunk as Uint8Array, encoding, done);
    restore();
    inner._write!(chunk, encoding, done);
  };
  inner._writev = null;
  writer.on("error", () => {});
  socket.once("close", () => writer.destroy());
}

/** The writing side of a descriptor, which it owns. */
function pipeOver(fd: number): Socket | undefined {
  if (fd < 0) return undefined;
  const { binding } = process as unknown as { binding(name: "pipe_wrap"): PipeBinding };
  const { Pipe, constants } = binding("pipe_wrap");
  const handle = new Pipe(constants.SOCKET);
  if (handle.open(fd) !== 0) return undefined;
  return new Socket({ handle, readable: false, allowHalfOpen: true } as object);
}
