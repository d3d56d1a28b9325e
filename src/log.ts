/**
 * Logging of every room: one category a room, under "sallyport". Lines go to standard error or a file,
 * as text or JSON; secrets that were read anywhere, and anything that looks like one, are cut out on
 * the way.
 */
import { configureSync, getLogger, type Logger } from "@logtape/logtape";
import process from "node:process";
import { LogFile, type LogFileOptions } from "./log_file.ts";
import { lineWriter } from "./log_line.ts";
import { styleOfStandardError } from "./log_standard_error.ts";

/** Levels as people name them, from the most to the least talkative. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** A level; only lines of it and above are written. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Ways to write a line: for people, or for machines (one JSON object a line). */
export const LOG_FORMATS = ["text", "json"] as const;
/** A way to write a line. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** How logs are written. */
export interface LogOptions {
  level: LogLevel;
  format: LogFormat;
  /** Where lines go instead of standard error. */
  file?: LogFileOptions;
  /** Takes one line, its newline included. @default the file, or standard error */
  write?(line: string): void;
}

/** The logger of one room, for example `logger("link")`. */
export function logger(room: string): Logger {
  return getLogger(["sallyport", room]);
}

let openFile: LogFile | undefined;

/**
 * Starts writing logs; called again, it changes how, and opens a file anew that was moved away. Before
 * the first call nothing is written. Throws `file`, and then changes nothing.
 */
export function configureLogs({ level, format, file, write }: LogOptions): void {
  const opened = file && new LogFile(file, toStandardError);
  const style = write || opened ? {} : styleOfStandardError();
  const take = write ?? (opened ? (line: string) => opened.write(line) : toStandardError);
  const lineOf = lineWriter(format, style);
  configureSync({
    reset: true,
    sinks: { lines: (record) => take(redact(lineOf(record))) },
    loggers: [
      {
        category: "sallyport",
        sinks: ["lines"],
        lowestLevel: level === "warn" ? "warning" : level,
      },
      { category: ["logtape", "meta"], sinks: ["lines"], lowestLevel: "warning" },
    ],
  });
  openFile?.[Symbol.dispose]();
  openFile = opened;
}

/** True while logs go to a file, where somebody who looks there does not see standard error. */
export function logsToFile(): boolean {
  return openFile !== undefined;
}

function toStandardError(line: string): void {
  process.stderr.write(line);
}

/** Shorter ones would cut common words out of the log. */
const SHORTEST_SECRET = 8;
/** Most that are remembered; the one that was not read for longest gives way. */
const MOST_SECRETS = 64;
const secrets = new Set<string>();

const SECRET_SHAPES: [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, "[key]"],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 [secret]"],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g, "[secret]"],
  // Up to the last @ of the word: passwords are not always encoded as they should be.
  [/(:\/\/[^\s:@/]*):[^\s"'<>]*@/g, "$1:[secret]@"],
];

/** From now on `secret` is cut out of every line, wherever it comes from. */
export function hideSecret(secret: string): void {
  if (secret.length < SHORTEST_SECRET) return;
  secrets.delete(secret);
  if (secrets.size >= MOST_SECRETS) secrets.delete(secrets.values().next().value!);
  secrets.add(secret);
}

/** An address as a person wrote it, with or without scheme, without user name and password. */
export function withoutUserinfo(address: string): string {
  return address.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1[secret]@");
}

/** `text` without known secrets and without what has the shape of a token or a private key. */
export function redact(text: string): string {
  for (const secret of secrets) text = text.replaceAll(secret, "[secret]");
  for (const [shape, instead] of SECRET_SHAPES) text = text.replace(shape, instead);
  return text;
}
