/** A proxy's answers, taken off a socket one by one before somebody else reads what follows them. */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";

/** Most bytes that are kept while an answer is incomplete. */
const MAX_ANSWER = 16 * 1024;

/** Reads a socket from its making to `release`. */
export class AnswerReader {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);
  #broken: Error | undefined;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", this.#onData).on("error", this.#onError);
    socket.on("end", this.#onClose).on("close", this.#onClose);
    socket.resume();
  }

  /**
   * The next answer. `lengthOf` is shown what is there and gives the length of the whole answer, or
   * nothing while it is incomplete; what it throws ends the reading. Rejects if the proxy hangs up or
   * its answer grows too long.
   */
  async take(lengthOf: (bytes: Buffer) => number | undefined): Promise<Buffer> {
    for (;;) {
      const length = lengthOf(this.#bytes);
      if (length !== undefined) {
        const answer = this.#bytes.subarray(0, length);
        this.#bytes = this.#bytes.subarray(length);
        return answer;
      }
      if (this.#bytes.length > MAX_ANSWER) {
        throw new Error(`its answer is longer than ${MAX_ANSWER} bytes`);
      }
      if (this.#broken) throw this.#broken;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Leaves the socket paused right behind the last answer. */
  release(): void {
    const socket = this.#socket;
    socket.pause();
    socket.off("data", this.#onData).off("error", this.#onError);
    socket.off("end", this.#onClose).off("close", this.#onClose);
    if (this.#bytes.length > 0) socket.unshift(this.#bytes);
  }

  readonly #onData = (chunk: Buffer) => {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    // More than an answer may have is not read while nobody takes it.
    if (this.#bytes.length > MAX_ANSWER) this.#socket.pause();
    this.#wake();
  };
  readonly #onError = (error: Error) => {
    this.#broken ??= error;
    this.#wake();
  };
  readonly #onClose = () => this.#onError(new Error("it closed the connection"));
}
