/** From setting definitions to command-line parsers with help. */
import { group, merge, object, or } from "@optique/core/constructs";
import { type Message, text as words } from "@optique/core/message";
import { map, multiple, optional } from "@optique/core/modifiers";
import type { NonEmptyString } from "@optique/core/nonempty";
import type { Parser } from "@optique/core/parser";
import { flag, option } from "@optique/core/primitives";
import type { Usage } from "@optique/core/usage";
import { commonSettings, logFileSettings } from "../config/common.ts";
import { type Loaded, loadSettings, type Sources } from "../config/load.ts";
import { keyOf, type Setting, type Settings, text } from "../config/setting.ts";
import { logFiles } from "../config/named_files.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import { mayWrite } from "../least_power.ts";
import { configureLogs, type LogFormat, logger, type LogLevel } from "../log.ts";
import { isDeepStrictEqual } from "node:util";
import type { CommandContext } from "./context.ts";
import { settingValue } from "./setting_value.ts";

const log = logger("cli");

/** The usage line of a command: its arguments, then flags, which the help below it lists. */
export function usageOf(...metavars: NonEmptyString[]): Usage {
  return [
    ...metavars.map((metavar) => ({ type: "argument" as const, metavar })),
    { type: "literal", value: "[--FLAG VALUE]..." },
  ];
}

/** Values of flags by their settings' names, and the path given with `--config`. */
export interface GivenFlags {
  config: string | undefined;
  [name: string]: string | undefined;
}

/** What a file may say: it may serve several commands, so these are the settings of them all. */
const known = new Set<string>();
const lists = new Set<string>();
const secrets = new Set<string>();

const secretNames = new Set<string>();

/** The variables in which any command takes a secret. */
export function secretVariables(): ReadonlySet<string> {
  return secretNames;
}

const parsers = new WeakMap<Settings, Parser<"sync", GivenFlags, unknown>>();

/** A parser of all flags of `settings` and of `--config`; commands with the same settings share it. */
export function flagsOf(settings: Settings): Parser<"sync", GivenFlags, unknown> {
  const parser = parsers.get(settings) ?? makeParser(settings);
  parsers.set(settings, parser);
  return parser;
}

function makeParser(settings: Settings): Parser<"sync", GivenFlags, unknown> {
  const own: Record<string, FlagParser> = {};
  const general: Record<string, FlagParser> = {};
  for (const [name, setting] of Object.entries(settings)) {
    known.add(keyOf(setting));
    if (setting.secret) setting.env?.forEach((name) => secretNames.add(name));
    if (setting.repeatable) lists.add(keyOf(setting));
    if (setting.secret) secrets.add(keyOf(setting));
    (name in GENERAL ? general : own)[name] = flagOf(setting);
  }
  const file = settingValue({ metavar: "FILE", schema: text });
  general.config = optional(option("--config", file, {
    description: help("Read settings from a JSON or YAML file, under the flags' names.", [
      CONFIG_VARIABLE,
    ]),
  }));
  const flags = merge(object(own), group("Logs and configuration", object(general)));
  return flags as unknown as Parser<"sync", GivenFlags, unknown>;
}

type FlagParser = Parser<"sync", string | undefined, unknown>;

/** Flags that are much the same for every command, and come last in its help. */
const GENERAL: Settings = { ...commonSettings, ...logFileSettings };

const CONFIG_VARIABLE = "SALLYPORT_CONFIG";

/** The file that `--config` or its variable names, as the arguments show before they are parsed. */
export function configFileOf(
  args: readonly string[],
  env: CommandContext["env"],
): string | undefined {
  const at = args.indexOf("--config");
  const joined = args.find((argument) => argument.startsWith("--config="));
  return (at >= 0 ? args[at + 1] : joined?.slice("--config=".length)) ??
    (env[CONFIG_VARIABLE] || undefined);
}

function flagOf(setting: Setting): Parser<"sync", string | undefined, unknown> {
  const also = setting.flags.length > 1 ? ` Also: ${setting.flags.slice(1).join(", ")}.` : "";
  const fallback = setting.default ?? setting.defaultHelp;
  const description = help(setting.help + also, setting.env, fallback);
  if (setting.presence) {
    return map(
      optional(flag(...setting.flags, { description })),
      (given) => given ? "true" : undefined,
    );
  }
  const [first, ...others] = setting.flags;
  const value = settingValue(setting);
  const parser = option(first, value, { description });
  if (setting.repeatable) {
    return map(multiple(parser), (given) => given.length > 0 ? given.join(",") : undefined);
  }
  const [other, ...more] = others;
  if (other === undefined) return optional(parser);
  return optional(or(parser, option(other, ...more, value, { hidden: "doc" })));
}

function help(sentence: string, env?: readonly string[], fallback?: string): Message {
  const parts = [sentence];
  if (fallback !== undefined) parts.push(`Default: ${fallback}.`);
  if (env?.length) parts.push(`[${env.join(", ")}]`);
  return [words(parts.join(" "))];
}

/**
 * Reads a command's settings and starts its logs. Throws `usage`, `config` or `file`. When the program
 * is told to (SIGHUP), or the file changes, they are read again: what logs depend on changes at once,
 * and what else has changed is named, as it needs a new start. A configuration that makes no sense is
 * complained about and changes nothing.
 * @param options openFile: the file may be open to others, as it is to be examined
 */
export function load<S extends Settings>(
  settings: S,
  given: GivenFlags,
  context: CommandContext,
  { openFile = false }: Pick<Sources, "openFile"> = {},
): Loaded<S> {
  const sources = { ...sourcesOf(given, context), openFile };
  const loaded = loadSettings(settings, sources);
  configureLogsBy(loaded);
  context.onReload(() => {
    try {
      const again = loadSettings(settings, sources);
      refuseNewLogFile(again);
      configureLogsBy(again);
      log.info("configuration read again");
      tellWhatWaits(settings, loaded, again);
    } catch (error) {
      log.error("configuration not read again: {message}", {
        message: asSallyportError(error).message,
      });
    }
  }, sources.file);
  return loaded;
}

/** Where the values of a command's settings are looked for. */
export function sourcesOf({ config, ...flags }: GivenFlags, { env }: CommandContext): Sources {
  return { flags, env, file: config ?? (env[CONFIG_VARIABLE] || undefined), known, lists, secrets };
}

/** Throws `file` for a log file that the process gave up when it started. */
function refuseNewLogFile({ values }: Loaded<Settings>): void {
  const given = logFiles(values).find((path) => !mayWrite(path));
  if (given === undefined) return;
  throw new SallyportError("file", `log file ${given}: it takes a new start to write there`);
}

function tellWhatWaits(settings: Settings, { values }: Loaded<Settings>, again: Loaded<Settings>) {
  const changed = Object.keys(settings).filter((name) =>
    !(name in GENERAL) && !isDeepStrictEqual(values[name], again.values[name])
  );
  if (changed.length === 0) return;
  log.warn("changed, but only for the next start: {names}", {
    names: changed.map((name) => keyOf(settings[name]!)).join(", "),
  });
}

function configureLogsBy({ values }: Loaded<Settings>): void {
  const { logLevel = "info", logFormat = "text", logFile, logFileSize, logFileCount } = values as {
    logLevel?: LogLevel;
    logFormat?: LogFormat;
    logFile?: string;
    logFileSize?: number;
    logFileCount?: number;
  };
  const file = logFile === undefined
    ? undefined
    : { path: logFile, size: logFileSize!, count: logFileCount! };
  configureLogs({ level: logLevel, format: logFormat, file });
}
