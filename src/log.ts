/**
 * Logging of every room: one category a room, under "sallyport". Lines go to standard error as text or
 * JSON; secrets that were read anywhere, and anything that looks like one, are cut out on the way.
 */
import {
  configureSync,
  getLogger,
  type Logger,
  type LogLevel as TapeLevel,
  type LogRecord,
} from "@logtape/logtape";
import process from "node:process";

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
  /** Takes one line, its newline included. @default standard error */
  write?(line: string): void;
}

/** The logger of one room, for example `logger("link")`. */
export function logger(room: string): Logger {
  return getLogger(["sallyport", room]);
}

/** Starts writing logs; called again, it changes how. Before the first call nothing is written. */
export function configureLogs({ level, format, write = toStandardError }: LogOptions): void {
  const line = format === "json" ? jsonLine : textLine;
  configureSync({
    reset: true,
    sinks: { lines: (record) => write(redact(line(record))) },
    loggers: [
      { category: "sallyport", sinks: ["lines"], lowestLevel: toTape(level) },
      { category: ["logtape", "meta"], sinks: ["lines"], lowestLevel: "warning" },
    ],
  });
}

function toStandardError(line: string): void {
  process.stderr.write(line);
}

function toTape(level: LogLevel): TapeLevel {
  return level === "warn" ? "warning" : level;
}

function fromTape(level: TapeLevel): string {
  return level === "warning" ? "warn" : level;
}

function text(record: LogRecord): string {
  return record.message.map((part) => typeof part === "string" ? part : show(part)).join("");
}

function show(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function textLine(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const room = record.category.at(-1);
  // Only the first line is ours to shape: what a peer says must not forge a second one.
  const message = text(record).replace(/[\r\n]+/g, " ");
  return `${time} ${fromTape(record.level).toUpperCase().padEnd(5)} ${room}: ${message}\n`;
}

function jsonLine(record: LogRecord): string {
  const line = {
    time: new Date(record.timestamp).toISOString(),
    level: fromTape(record.level),
    room: record.category.at(-1),
    message: text(record),
  };
  // A part of the message that has one of these names is in the message, and does not replace it.
  return JSON.stringify({ ...line, ...record.properties, ...line }) + "\n";
}

/** Shorter ones would cut common words out of the log. */
const SHORTEST_SECRET = 8;
const secrets = new Set<string>();

const SECRET_SHAPES: [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, "[key]"],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 [secret]"],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g, "[secret]"],
  [/(:\/\/[^\s:@/]+):[^\s@/]+@/g, "$1:[secret]@"],
];

/** From now on `secret` is cut out of every line, wherever it comes from. */
export function hideSecret(secret: string): void {
  if (secret.length >= SHORTEST_SECRET) secrets.add(secret);
}

/** `text` without known secrets and without what has the shape of a token or a private key. */
export function redact(text: string): string {
  for (const secret of secrets) text = text.replaceAll(secret, "[secret]");
  for (const [shape, instead] of SECRET_SHAPES) text = text.replace(shape, instead);
  return text;
}
