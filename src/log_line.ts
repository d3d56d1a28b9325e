/** How one log record is written: for a person, for a terminal, for the journal, for a machine. Pure. */
import type { LogLevel as TapeLevel, LogRecord } from "@logtape/logtape";
import type { LogFormat } from "./log.ts";

/** What a line is written for, beside its format. */
export interface LineStyle {
  /** With the colours of a terminal. @default false */
  colour?: boolean;
  /** With the severity that journald reads, and without the time, which it has itself. @default false */
  journal?: boolean;
}

/** Severities of syslog (RFC 5424 §6.2.1), as sd-daemon(3) puts them before a line. */
const SEVERITY: Record<TapeLevel, number> = {
  trace: 7,
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
  fatal: 2,
};

/** Foregrounds of ECMA-48 (SGR). */
const COLOUR: Record<TapeLevel, number> = {
  trace: 2,
  debug: 2,
  info: 32,
  warning: 33,
  error: 31,
  fatal: 31,
};

/** What journald reads before a line of this level. */
export function journalMark(level: TapeLevel): string {
  return `<${SEVERITY[level]}>`;
}

/** What writes a record as one line, its newline included. */
export function lineWriter(
  format: LogFormat,
  { colour = false, journal = false }: LineStyle = {},
): (record: LogRecord) => string {
  const line = format === "json"
    ? jsonLine
    : journal
    ? journalLine
    : colour
    ? colouredLine
    : textLine;
  return journal ? (record) => journalMark(record.level) + line(record) : line;
}

function textLine(record: LogRecord): string {
  return `${timeOf(record)} ${levelOf(record)} ${roomOf(record)}: ${messageLine(record)}\n`;
}

function colouredLine(record: LogRecord): string {
  const time = paint(2, timeOf(record));
  const level = paint(COLOUR[record.level], levelOf(record));
  return `${time} ${level} ${paint(2, `${roomOf(record)}:`)} ${messageLine(record)}\n`;
}

function journalLine(record: LogRecord): string {
  return `${roomOf(record)}: ${messageLine(record)}\n`;
}

function jsonLine(record: LogRecord): string {
  const line = {
    time: timeOf(record),
    level: nameOf(record.level),
    room: roomOf(record),
    message: messageOf(record),
  };
  // A part of the message that has one of these names is in the message, and does not replace it.
  return JSON.stringify({ ...line, ...record.properties, ...line }) + "\n";
}

function paint(colour: number, text: string): string {
  return `\x1b[${colour}m${text}\x1b[0m`;
}

function timeOf({ timestamp }: LogRecord): string {
  return new Date(timestamp).toISOString();
}

function roomOf({ category }: LogRecord): string {
  return category.at(-1) ?? "";
}

function nameOf(level: TapeLevel): string {
  return level === "warning" ? "warn" : level;
}

function levelOf({ level }: LogRecord): string {
  return nameOf(level).toUpperCase().padEnd(5);
}

function messageOf({ message }: LogRecord): string {
  return message.map((part) => typeof part === "string" ? part : show(part)).join("");
}

/** What a peer says must neither forge a second line nor command the terminal. */
function messageLine(record: LogRecord): string {
  // deno-lint-ignore no-control-regex
  return messageOf(record).replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ");
}

function show(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
