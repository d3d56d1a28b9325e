/** The command line as a whole: arguments → command → exit status. */
import { or } from "@optique/core/constructs";
import { runParser } from "@optique/core/facade";
import { formatMessage, type Message, message, optionName } from "@optique/core/message";
import { createErrorWithSuggestions } from "@optique/core/suggestion";
import { prepareFor } from "../config/file.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { logger, logsToFile, redact } from "../log.ts";
import { journalMark } from "../log_line.ts";
import { isJournal } from "../log_standard_error.ts";
import { VERSION } from "../version.ts";
import { configCommand } from "./config.ts";
import { connectCommand } from "./connect.ts";
import { isGroup, walk } from "./command_tree.ts";
import type { Action, CommandContext } from "./context.ts";
import { configFileOf } from "./flags.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { firewallCommand } from "./firewall.ts";
import { COMMAND_USAGE, FIRST_STEPS, FOOTER, lines, SHELLS } from "./help.ts";
import { gatewayCommand } from "./gateway.ts";
import { manCommand } from "./man.ts";
import { platformCommand } from "./platform.ts";
import { relayCommand } from "./relay.ts";
import { serviceCommand } from "./service.ts";
import { statusCommand } from "./status.ts";
import { versionCommand } from "./version.ts";

const NAME = "sallyport";

/** Every command. */
export const root = or(
  gatewayCommand,
  connectCommand,
  relayCommand,
  statusCommand,
  serviceCommand,
  doctorCommand,
  platformCommand,
  firewallCommand,
  configCommand,
  demoCommand,
  versionCommand,
  manCommand,
);

/** Runs the command that `args` name; gives the exit status of the process. Never throws. */
export async function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    const outcome = parse(args, context);
    await prepareFor(configFileOf(args, context.env));
    return typeof outcome === "number" ? outcome : await outcome(context);
  } catch (error) {
    return explain(error, args, context);
  }
}

function parse(args: readonly string[], context: CommandContext): Action | number {
  // A group of commands alone, such as "platform", is a question.
  const question = isGroup(root.usage, args);
  const asked = question ? [...args, "--help"] : args;
  const whole = asked.every((arg) => arg.startsWith("-") || arg === "help");
  return runParser<typeof root, number, number>(root, NAME, asked, {
    brief: message`An edge agent: reach private TCP and HTTP services without an inbound port.`,
    examples: whole ? lines(...FIRST_STEPS) : undefined,
    footer: whole ? FOOTER : undefined,
    help: {
      command: true,
      option: { names: ["--help", "-h"] },
      onShow: () => question ? EXIT.usage : EXIT.ok,
    },
    version: { value: VERSION, option: { names: ["--version", "-V"] }, onShow: () => EXIT.ok },
    completion: { command: true, shells: SHELLS, onShow: () => EXIT.ok },
    commandList: "top-level",
    usageLine: COMMAND_USAGE,
    termWidth: 28,
    maxWidth: widthOf(context),
    colors: context.terminal?.colours ?? false,
    aboveError: "none",
    stdout: (text) => (question ? context.err : context.out)(text.replace(/[ \t]+$/gm, "")),
    // The runner's own wording of errors is replaced by ours, below.
    stderr: () => {},
    onError: (_status, error) => {
      context.err(`${NAME}: ${wrongArguments(error)}`);
      const at = asked[0] === "completion" ? asked.slice(0, 1) : walk(root.usage, asked).commands;
      context.err(`  see: ${[NAME, ...at, "--help"].join(" ")}`);
      return EXIT.usage;
    },
  }) as Action | number;
}

/** A terminal that does not know its width says 0. */
function widthOf({ terminal }: CommandContext): number {
  return Math.min(100, Math.max(40, terminal?.columns() || 100));
}

/** The parser names the stray argument; it suggests a near one only at the root, so we do. */
function wrongArguments(error: Message): string {
  const stray = error.find((term) => term.type === "optionName");
  const words = plain(error)
    // The value of a misspelt --token=… is not to be shown.
    .replace(/(--[\w-]+)=\S*/g, "$1")
    // Nor is half of a secret that a shell has split; no word of ours is that long.
    .replace(/(?<=: )[^-\s]\S{23,}/, "a word that is not shown")
    .replace(/\.?$/, "");
  const name = stray?.optionName.split("=")[0];
  const near = name !== undefined && !words.includes("Did you mean")
    ? plain(createErrorWithSuggestions(
      [],
      name,
      root.usage,
      "both",
      // A flag that is right, but lacks its value, is no misspelling.
      ([first]) => first === undefined || first === name ? [] : nearest(first),
    ))
    : "";
  const said = `${words.charAt(0).toLowerCase()}${words.slice(1)}`
    .replace(/^expected an? (\S+), but too few arguments/, "$1 is missing");
  return `${said}${near && `. ${near}`}`;
}

function nearest(first: string): Message {
  return message`Did you mean ${optionName(first)}?`;
}

function plain(words: Message): string {
  return formatMessage(words, { quotes: false, colors: false }).replace(/\s*\n\s*/g, " ").trim();
}

/** Says what went wrong and what to do; the stack only for those who asked to debug. */
function explain(error: unknown, args: readonly string[], context: CommandContext): number {
  // What was told to stop ends well, however far it had come.
  if (context.signal.aborted) return EXIT.ok;
  const known = error instanceof SallyportError;
  const text = error instanceof Error ? error.message : String(error);
  const said = redact(`${NAME}: ${known ? text : `internal error: ${text}`}`);
  context.err(isJournal(context.env) ? journalMark("error") + said : said);
  // Who looks into the log file does not see what is printed.
  if (logsToFile()) logger("cli").error("{text}", { text });
  if (known && error.hint) context.err(redact(`  ${error.hint}`));
  if (!known) context.err("  please report this, with the output of --log-level debug");
  if (wantsDebug(args, context)) context.err(redact(stackOf(error)));
  return known ? error.exitCode : EXIT.failure;
}

function wantsDebug(args: readonly string[], { env }: CommandContext): boolean {
  return args.includes("--log-level=debug") ||
    args[args.indexOf("--log-level") + 1] === "debug" && args.includes("--log-level") ||
    env.SALLYPORT_LOG_LEVEL === "debug";
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
