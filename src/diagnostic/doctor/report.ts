/** What doctor found, as lines for a person or as JSON. Pure. */
import { EXIT } from "../../errors.ts";
import { VERSION } from "../../version.ts";
import type { CheckResult, Status } from "./check.ts";

/** How lines look. */
export interface Style {
  /** With ANSI colours. */
  colour: boolean;
  /** The terminal shows more than ASCII; words say the same without. */
  symbols: boolean;
}

const LOOKS: Record<Status, { symbol: string; colour: number }> = {
  pass: { symbol: "✓", colour: 32 },
  warn: { symbol: "!", colour: 33 },
  fail: { symbol: "✗", colour: 31 },
  skip: { symbol: "–", colour: 90 },
};

/** Width of the column of titles. */
const TITLE = 18;

/** The lines of one result, without a newline at their end. */
export function resultText(result: CheckResult, { colour, symbols }: Style): string {
  const { status, title, finding, remedy, ms } = result;
  const { symbol, colour: number } = LOOKS[status];
  const mark = symbols ? `${symbol} ${status}` : status;
  const coloured = colour ? `\x1b[${number}m${mark}\x1b[0m` : mark;
  const time = status === "skip" ? "" : ` (${ms} ms)`;
  const first = `${coloured}  ${title.padEnd(TITLE)} ${finding}${time}`;
  if (remedy === undefined) return first;
  const indent = " ".repeat(mark.length + 2);
  return `${first}\n${indent}${symbols ? "→" : "->"} ${remedy}`;
}

/** One sentence over all results. */
export function summaryText(results: readonly CheckResult[]): string {
  const count = (status: Status) => results.filter((result) => result.status === status).length;
  const [failed, warned, skipped] = [count("fail"), count("warn"), count("skip")];
  const parts = [
    `${count("pass")} passed`,
    ...(warned > 0 ? [`${warned} with a warning`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} not tried`] : []),
  ];
  return parts.join(", ");
}

/** Whom the report is about. */
export interface Subject {
  gateway: string;
  domain: string;
  /** The configuration file that was read. */
  config?: string;
  /** The service that it belongs to. */
  service?: string;
}

/** First line of a report. */
export function headingText({ gateway, domain, config, service }: Subject): string {
  const whose = service === undefined ? "" : ` of the service ${service}`;
  const settings = config === undefined ? "" : `, settings${whose} in ${config}`;
  return `sallyport ${VERSION} doctor: gateway ${gateway}, platform ${domain}${settings}`;
}

/** Everything as one JSON object. */
export function reportJson(results: readonly CheckResult[], subject: Subject): string {
  const report = {
    version: VERSION,
    ...subject,
    ok: exitStatus(results) === EXIT.ok,
    summary: summaryText(results),
    checks: results,
  };
  return JSON.stringify(report, null, 2);
}

/** 0 unless a check failed, then 1. */
export function exitStatus(results: readonly CheckResult[]): number {
  return results.some(({ status }) => status === "fail") ? EXIT.failure : EXIT.ok;
}
