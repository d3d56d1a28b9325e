/** From setting definitions to command-line parsers with help. */
import { object } from "@optique/core/constructs";
import { type Message, text } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import type { NonEmptyString } from "@optique/core/nonempty";
import type { Parser } from "@optique/core/parser";
import { flag, option } from "@optique/core/primitives";
import type { Usage } from "@optique/core/usage";
import { string } from "@optique/core/valueparser";
import { type Loaded, loadSettings } from "../config/load.ts";
import type { Setting, Settings } from "../config/setting.ts";
import { asSallyportError } from "../errors.ts";
import { configureLogs, type LogFormat, logger, type LogLevel } from "../log.ts";
import type { CommandContext } from "./context.ts";

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

/** A parser of all flags of `settings` and of `--config`. */
export function flagsOf(settings: Settings): Parser<"sync", GivenFlags, unknown> {
  const parsers: Record<string, Parser<"sync", string | undefined, unknown>> = {};
  for (const [name, setting] of Object.entries(settings)) parsers[name] = flagOf(setting);
  parsers.config = optional(option("--config", string({ metavar: "FILE" }), {
    description: help("Read settings from a JSON file, under the flags' names without dashes.", [
      "SALLYPORT_CONFIG",
    ]),
  }));
  return object(parsers) as unknown as Parser<"sync", GivenFlags, unknown>;
}

function flagOf(setting: Setting): Parser<"sync", string | undefined, unknown> {
  const description = help(setting.help, setting.env, setting.default ?? setting.defaultHelp);
  if (setting.presence) {
    return map(
      optional(flag(...setting.flags, { description })),
      (given) => given ? "true" : undefined,
    );
  }
  return optional(
    option(...setting.flags, string({ metavar: setting.metavar as NonEmptyString }), {
      description,
    }),
  );
}

function help(sentence: string, env?: readonly string[], fallback?: string): Message {
  const parts = [sentence];
  if (fallback !== undefined) parts.push(`Default: ${fallback}.`);
  if (env?.length) parts.push(`[${env.join(", ")}]`);
  return [text(parts.join(" "))];
}

/**
 * Reads a command's settings and starts its logs. Throws `usage`, `config` or `file`. When the program
 * is told to (SIGHUP), they are read again: what logs depend on changes at once; a configuration that
 * makes no sense is complained about and changes nothing.
 */
export function load<S extends Settings>(
  settings: S,
  given: GivenFlags,
  context: CommandContext,
): Loaded<S> {
  const loaded = read(settings, given, context);
  configureLogsBy(loaded);
  context.onReload(() => {
    try {
      configureLogsBy(read(settings, given, context));
      log.info("configuration read again");
    } catch (error) {
      log.error("configuration not read again: {message}", {
        message: asSallyportError(error).message,
      });
    }
  });
  return loaded;
}

function read<S extends Settings>(
  settings: S,
  { config, ...flags }: GivenFlags,
  { env }: CommandContext,
): Loaded<S> {
  const file = config ?? (env.SALLYPORT_CONFIG || undefined);
  return loadSettings(settings, { flags, env, file });
}

function configureLogsBy({ values }: Loaded<Settings>): void {
  const { logLevel = "info", logFormat = "text" } = values as {
    logLevel?: LogLevel;
    logFormat?: LogFormat;
  };
  configureLogs({ level: logLevel, format: logFormat });
}
