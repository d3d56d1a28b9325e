/** The manual page (man(7)) of a command line. Pure. */
import type { DocEntry, DocPage, DocSection } from "@optique/core/doc";
import { formatMessage, type Message } from "@optique/core/message";
import { getDocPageSync, type Parser } from "@optique/core/parser";
import { formatUsage } from "@optique/core/usage";
import { VERSION } from "../version.ts";
import { leaves } from "./command_tree.ts";
import { EXIT_STATUSES, FIRST_STEPS } from "./help.ts";

/** The page that describes every command of `root`. */
export function manPage(root: Parser<"sync", unknown, unknown>): string {
  const commands = leaves(root.usage)
    .map((words) => ({ words, page: getDocPageSync(root, words) }))
    .filter((one): one is { words: string[]; page: DocPage } => one.page !== undefined);
  return [
    `.TH SALLYPORT 1 "" "sallyport ${escape(VERSION)}" "User Commands"`,
    // Names are to be found and copied: no hyphens within them.
    ".nh",
    ".ad l",
    ".SH NAME",
    "sallyport \\- reach private TCP and HTTP services without an inbound port",
    ".SH SYNOPSIS",
    ".B sallyport",
    "\\fICOMMAND\\fR [\\fIFLAG\\fR]...",
    ".SH COMMANDS",
    ...commands.flatMap(({ words, page }) => commandOf(words, page)),
    ...sharedOf(commands.map(({ page }) => page)),
    ".SH EXIT STATUS",
    ...EXIT_STATUSES.flatMap(([status, meaning]) => [".TP", `.B ${status}`, escape(meaning)]),
    ".SH ENVIRONMENT",
    "A flag is overridden by none; the variables named with each flag count where it is not given,",
    "and a configuration file where neither is.",
    ".TP",
    ".B NO_COLOR",
    "No colours, also on a terminal.",
    ".SH EXAMPLES",
    ...codeOf(FIRST_STEPS),
  ].join("\n");
}

function commandOf(words: readonly string[], page: DocPage): string[] {
  const usage = page.usage ? formatUsage("sallyport", page.usage) : `sallyport ${words.join(" ")}`;
  return [
    `.SS ${quote(usage)}`,
    ...paragraph(page.brief),
    ...page.sections.filter(({ title }) => title === undefined).flatMap(entriesOf),
    ...paragraphs(page.footer),
  ];
}

/** Sections with a title are of flags that many commands have: each flag is told once. */
function sharedOf(pages: readonly DocPage[]): string[] {
  const sections = new Map<string, Map<string, DocEntry>>();
  for (const { title, entries } of pages.flatMap((page) => page.sections)) {
    if (title === undefined) continue;
    const known = sections.get(title) ?? new Map<string, DocEntry>();
    for (const entry of entries) {
      const term = termOf(entry);
      if (!known.has(term)) known.set(term, entry);
    }
    sections.set(title, known);
  }
  return [...sections].flatMap(([title, entries]) => [
    `.SH ${quote(title.toUpperCase())}`,
    ...entriesOf({ entries: [...entries.values()] }),
  ]);
}

function entriesOf({ entries }: DocSection): string[] {
  return entries.flatMap((entry) => [".TP", termOf(entry), ...paragraph(entry.description)]);
}

function termOf({ term }: DocEntry): string {
  if (term.type === "option") {
    const names = term.names.map((name) => `\\fB${escape(name)}\\fR`).join(", ");
    return term.metavar ? `${names} \\fI${escape(term.metavar)}\\fR` : names;
  }
  if (term.type === "argument") return `\\fI${escape(term.metavar)}\\fR`;
  if (term.type === "optional" || term.type === "multiple") {
    return term.terms.map((inner) => termOf({ term: inner })).join(" ");
  }
  return term.type === "command" ? `\\fB${escape(term.name)}\\fR` : "";
}

function plain(text: Message): string {
  return formatMessage(text, { quotes: false, colors: false });
}

function paragraph(text: Message | undefined): string[] {
  return text === undefined ? [] : [escape(plain(text).replace(/\s+/g, " ").trim())];
}

/** A footer: its indented lines are to be copied as they stand. */
function paragraphs(text: Message | undefined): string[] {
  if (text === undefined) return [];
  const lines = plain(text).split("\n").filter((line) => line.trim() !== "");
  const code = lines.filter((line) => line.startsWith("  "));
  const said = lines.filter((line) => !line.startsWith("  "));
  return [".PP", ...said.map(escape), ...(code.length > 0 ? codeOf(code) : [])];
}

function codeOf(lines: readonly string[]): string[] {
  return [".PP", ".RS 4", ".nf", ...lines.map((line) => escape(line.trim())), ".fi", ".RE"];
}

/** Text that roff takes as it is: hyphens that can be copied, and no line that is a request. */
function escape(text: string): string {
  return text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/^([.'])/, "\\&$1")
    // deno-lint-ignore no-control-regex
    .replace(/[^\x00-\x7f]/gu, (c) => `\\[u${c.codePointAt(0)!.toString(16).toUpperCase()}]`);
}

function quote(text: string): string {
  return `"${escape(text).replace(/"/g, "\\(dq")}"`;
}
