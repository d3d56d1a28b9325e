/**
 * The audit file: who reached which target through this gateway, one JSON object a line. Each
 * connection has one line when it opens and one when it closes. The file is only ever appended to; when
 * it is full it is renamed, and the oldest of the renamed ones goes.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { Buffer } from "node:buffer";
import { SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import type { Mode } from "./route.ts";

const log = logger("audit");

/** Readable by its owner alone: it names people and what they reach. */
const MODE = 0o600;
const NEWLINE = 0x0a;

/** Who is at the other end of a connection, and what for. */
export interface AuditedConnection {
  /** Joins the two lines of a connection; never used twice. */
  connection: string;
  mode: Mode;
  /** `host:port` as the certificate names it; absent where the gateway itself answers. */
  target?: string;
  actor: { type: string; id?: string; name?: string };
  /** Serial number of the client certificate, lower-case hex. */
  serial: string;
}

/** What became of a connection. */
export interface AuditedEnd {
  /** Bytes inside the connection's own TLS, from the platform and back. */
  bytesIn: number;
  bytesOut: number;
  ms: number;
  /** "ended", or the code of the error that ended it. */
  reason: string;
  /** `address:port` of each target that was connected to. */
  connected?: string[];
  /** `address:port` of each that the target policy refused. */
  refused?: string[];
}

/** Where the lines go. */
export interface AuditOptions {
  path: string;
  /** A file that would grow beyond this is renamed first, bytes. */
  size: number;
  /** How many renamed files are kept: `path.1` is the newest. */
  keep: number;
  /** ms since 1970 @default Date.now */
  now?: () => number;
}

/** An open audit file. Lines are in the system's hands when a method returns. */
export class AuditFile {
  readonly #options: AuditOptions;
  readonly #now: () => number;
  #file: number;
  #size: number;
  /** The last line was not written whole. */
  #torn: boolean;

  /** Opens or makes the file. Throws `audit`. */
  constructor(options: AuditOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    [this.#file, this.#size, this.#torn] = this.#open();
  }

  /** Throws `audit` if the line cannot be written: then the connection must not be served. */
  opened(connection: AuditedConnection): void {
    this.#write("open", connection);
  }

  /** Never throws: the connection is over, whether this can be written or not. */
  closed(connection: AuditedConnection, end: AuditedEnd): void {
    try {
      this.#write("close", { ...connection, ...end });
    } catch (error) {
      const { message } = error as Error;
      log.error("the end of connection {connection} is not on record: {message}", {
        connection: connection.connection,
        message,
      });
    }
  }

  /** Closes the file. */
  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  #write(event: "open" | "close", fields: object): void {
    const time = new Date(this.#now()).toISOString();
    const line = `${JSON.stringify({ time, event, ...fields })}\n`;
    try {
      const length = Buffer.byteLength(line) + 1;
      if (this.#size > 0 && this.#size + length > this.#options.size) this.#rotate();
      const bytes = Buffer.from(this.#torn ? `\n${line}` : line);
      for (let written = 0; written < bytes.length;) {
        const count = writeSync(this.#file, bytes, written);
        this.#torn = true;
        this.#size += count;
        written += count;
      }
      this.#torn = false;
    } catch (error) {
      throw this.#error("write", error);
    }
  }

  #rotate(): void {
    const { path, keep } = this.#options;
    this.close();
    try {
      rmSync(numbered(path, keep), { force: true });
      for (let number = keep - 1; number >= 0; number--) move(path, number);
    } finally {
      [this.#file, this.#size, this.#torn] = this.#open();
    }
  }

  #open(): [file: number, size: number, torn: boolean] {
    try {
      const file = openSync(this.#options.path, "a+", MODE);
      const { size } = fstatSync(file);
      const last = Buffer.alloc(1);
      const torn = size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
      return [file, size, torn];
    } catch (error) {
      throw this.#error("open", error);
    }
  }

  #error(what: string, error: unknown): SallyportError {
    if (error instanceof SallyportError) return error;
    const { code, message } = error as { code?: string; message?: string };
    return new SallyportError(
      "audit",
      `cannot ${what} the audit file ${this.#options.path}: ${code ?? message ?? String(error)}`,
      { hint: "make room there or choose another --audit-file: nobody is served unrecorded" },
    );
  }
}

function numbered(path: string, number: number): string {
  return number === 0 ? path : `${path}.${number}`;
}

/** Files of a `keep` that was smaller once may be missing. */
function move(path: string, number: number): void {
  try {
    renameSync(numbered(path, number), numbered(path, number + 1));
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}
