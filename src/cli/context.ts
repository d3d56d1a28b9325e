/** What a command is given by whoever runs it: main.ts, or a test. */

import type { Files } from "../least_power.ts";

/** A terminal that standard output goes to. */
export interface Terminal {
  /** Characters a line, now; 0 if it does not know. */
  columns(): number;
  /** Lines, now; 0 if it does not know. */
  rows(): number;
  /** Whether it wants colours. */
  colours: boolean;
}

/** The world around a command. */
export interface CommandContext {
  /** Prints a result, with a newline, to standard output. */
  out(text: string): void;
  /** Prints a remark or an error, with a newline, to standard error. */
  err(text: string): void;
  env: Record<string, string | undefined>;
  /** The terminal that results are printed on; undefined where that is a file or a pipe. */
  terminal?: Terminal;
  /** Aborts when the program is told to stop. */
  signal: AbortSignal;
  /**
   * Calls `listener` each time that the program is told to read its configuration again, or that `file`
   * has changed.
   */
  onReload(listener: () => void, file?: string): void;
  /**
   * Gives up every file but these for as long as the process lives; undefined where the process is not
   * the command's alone.
   */
  keepOnlyFiles?(files: Files): void;
}

/** A command whose arguments have been read; gives the exit status. */
export type Action = (context: CommandContext) => Promise<number>;
