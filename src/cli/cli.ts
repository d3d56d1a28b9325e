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
import { connectCommand } from "./connect.ts";
import type { Action, CommandContext } from "./context.ts";
import { configFileOf } from "./flags.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { firewallCommand } from "./firewall.ts";
import { gatewayCommand } from "./gateway.ts";
import { platformCommand } from "./platform.ts";
import { relayCommand } from "./relay.ts";
import { serviceCommand } from "./service.ts";
import { statusCommand } from "./status.ts";

const NAME = "sallyport";

const root = or(
  gatewayCommand,
  connectCommand,
  relayCommand,
  statusCommand,
  serviceCommand,
  doctorCommand,
  platformCommand,
  firewallCommand,
  demoCommand,
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
  const question = isGroup(args);
  const asked = question ? [...args, "--help"] : args;
  return runParser<typeof root, number, number>(root, NAME, asked, {
    brief: message`An edge agent: reach private TCP and HTTP services without an inbound port.`,
    footer:
      message`A relay is what Infisical's older pages call a proxy server. Exit statuses: 0 done, 1 failure, 2 wrong usage or configuration, 3 credentials refused, 4 a peer could not prove who it is, 5 unreachable, 6 this host refuses, 130 interrupted.`,
    help: {
      command: true,
      option: { names: ["--help", "-h"] },
      onShow: () => question ? EXIT.usage : EXIT.ok,
    },
    version: { value: VERSION, option: true, onShow: () => EXIT.ok },
    completion: { command: true, onShow: () => EXIT.ok },
    commandList: "top-level",
    usageLine: [{ type: "ellipsis" }],
    termWidth: 28,
    maxWidth: 100,
    aboveError: "none",
    stdout: question ? context.err : context.out,
    // The runner's own wording of errors is replaced by ours, below.
    stderr: () => {},
    onError: (_status, error) => {
      context.err(`${NAME}: ${wrongArguments(error)}`);
      context.err(`  see: ${[NAME, ...commandsOf(asked), "--help"].join(" ")}`);
      return EXIT.usage;
    },
  }) as Action | number;
}

/** The parser names the stray argument; it suggests a near one only at the root, so we do. */
function wrongArguments(error: Message): string {
  const stray = error.find((term) => term.type === "optionName");
  const words = plain(error)
    // The value of a misspelt --token=… is not to be shown.
    .replace(/(--[\w-]+)=\S*/g, "$1")
    .replace(/\.?$/, "");
  const near = stray && !words.includes("Did you mean")
    ? plain(
      createErrorWithSuggestions([], stray.optionName.split("=")[0]!, root.usage, "both", nearest),
    )
    : "";
  return `${words.charAt(0).toLowerCase()}${words.slice(1)}${near && `. ${near}`}`;
}

function nearest([first]: readonly string[]): Message {
  return first === undefined ? [] : message`Did you mean ${optionName(first)}?`;
}

function plain(words: Message): string {
  return formatMessage(words, { quotes: false, colors: false }).replace(/\s*\n\s*/g, " ").trim();
}

/** Commands that only group others. */
const GROUPS = [
  "",
  "gateway",
  "relay",
  "service",
  "platform",
  "platform identity",
  "platform token",
];

function isGroup(args: readonly string[]): boolean {
  return GROUPS.includes(args.join(" "));
}

/** The commands at the front of `args`, as far as they are ours. */
function commandsOf(args: readonly string[]): readonly string[] {
  const [first = "", second = "", third = ""] = args;
  if (["connect", "demo", "doctor", "firewall", "status"].includes(first)) return [first];
  if (GROUPS.includes(`${first} ${second}`)) {
    return third === "create" ? args.slice(0, 3) : [first, second];
  }
  if (!GROUPS.includes(first)) return [];
  const verbs = ["start", "init", "gateways", "relays", "install", "uninstall", "stop", "status"];
  return [...verbs, "print"].includes(second) ? [first, second] : [first];
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
