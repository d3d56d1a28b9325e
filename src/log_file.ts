/** A log file that does not grow without end: full, it becomes `<path>.1`, that one `<path>.2`, … */
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { SallyportError } from "./errors.ts";

/** A log file, and how much of the past is kept. */
export interface LogFileOptions {
  path: string;
  /** A file that would grow beyond this is put aside, bytes. */
  size: number;
  /** How many that were put aside are kept. */
  count: number;
}

/**
 * Writes lines to a file, each at once: a process that is killed has written what it has logged. Where
 * the file cannot be written any more, for example because the disk is full, lines go to `instead`
 * until it can.
 */
export class LogFile implements Disposable {
  readonly #options: LogFileOptions;
  readonly #instead: (line: string) => void;
  #file: number | undefined;
  #size = 0;
  #failing = false;

  /** Throws `file` if it cannot be opened. */
  constructor(options: LogFileOptions, instead: (line: string) => void) {
    this.#options = options;
    this.#instead = instead;
    try {
      this.#open();
    } catch (error) {
      throw new SallyportError("file", `log file ${options.path}: ${reasonOf(error)}`, {
        hint: "name a file that can be written with --log-file, or leave it out",
        cause: error,
      });
    }
  }

  /** Writes one line, its newline included. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    try {
      if (this.#file === undefined) this.#open();
      if (this.#size > 0 && this.#size + bytes.length > this.#options.size) this.#putAside();
      this.#append(bytes);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) {
        this.#failing = true;
        const { path } = this.#options;
        this.#instead(`log file ${path}: ${reasonOf(error)}; what is logged comes here\n`);
      }
      this.#instead(line);
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #open(): void {
    // Targets and names are in it: for this user alone.
    this.#file = openSync(this.#options.path, "a", 0o600);
    this.#size = fstatSync(this.#file).size;
  }

  #append(bytes: Buffer): void {
    for (let from = 0; from < bytes.length;) {
      const written = writeSync(this.#file!, bytes, from);
      from += written;
      this.#size += written;
    }
  }

  #putAside(): void {
    const { path, count } = this.#options;
    this[Symbol.dispose]();
    try {
      for (let age = count - 1; age >= 1; age--) {
        moveIfThere(`${path}.${age}`, `${path}.${age + 1}`);
      }
      if (count > 0) moveIfThere(path, `${path}.1`);
      else rmSync(path, { force: true });
    } catch {
      // Somebody holds it open (Windows) or the folder is read-only: it grows, which loses nothing.
    }
    this.#open();
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such folder",
  EACCES: "this user may not write it",
  EPERM: "this user may not write it",
  EISDIR: "it is a folder",
  ENOSPC: "the disk is full",
  EROFS: "it is on a read-only file system",
};

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return REASONS[code ?? ""] ?? message ?? String(error);
}
