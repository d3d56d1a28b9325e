/**
 * What a setting is: its flags, its environment variables, its place in a configuration file, how its
 * text is read, and the help that a person sees. One definition serves the command line, the file and
 * the help.
 */
import * as z from "zod";

/** A long option name. */
export type Flag = `--${string}`;

/** One setting. Values are texts until `schema` has read them, wherever they come from. */
export interface Setting<T = unknown> {
  /** The documented flag first; its name without dashes is the key in a configuration file. */
  flags: readonly [Flag, ...Flag[]];
  /** Environment variables; the first that is set and not empty counts. */
  env?: readonly string[];
  /** Stands for the value in help. */
  metavar: string;
  /** One sentence, without default and environment: those are added. */
  help: string;
  schema: z.ZodType<T, string>;
  /** Text that is read when nobody gives one. */
  default?: string;
  /** Shown instead of the default where that is worked out at run time. */
  defaultHelp?: string;
  /** Given or not, without a value. */
  presence?: boolean;
}

/** Settings by the names that code calls them. */
export type Settings = Record<string, Setting>;

/** What comes out of settings: undefined where nobody gave a value and there is no default. */
export type Values<S extends Settings> = {
  [K in keyof S]: S[K] extends { schema: z.ZodType<infer T, string>; default: string } ? T
    : S[K] extends { schema: z.ZodType<infer T, string> } ? T | undefined
    : never;
};

/** A text that is not empty. */
export const text = z.string().trim().min(1, "it is empty");

/** One of a few words. */
export function oneOf<const W extends readonly [string, ...string[]]>(words: W) {
  return text.pipe(z.enum(words, `it must be ${words.join(" or ")}`));
}

/** A whole number in a range. */
export function whole(smallest: number, largest: number = Number.MAX_SAFE_INTEGER) {
  return text.pipe(
    z.string().regex(/^\d+$/, "it must be a whole number").transform(Number).pipe(
      z.number().min(smallest, `it must be at least ${smallest}`)
        .max(largest, `it must be at most ${largest}`),
    ),
  );
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time: a number with ms, s, m, h or d behind it, or seconds without; gives ms. */
export const duration = text.transform((given, context) => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(given);
  if (!match) {
    context.addIssue("it must be a time such as 500ms, 30s, 5m, 12h or 2d");
    return z.NEVER;
  }
  return Math.round(Number(match[1]) * UNITS[match[2] ?? "s"]!);
});

/** A span of time that is not nothing. */
export const span = duration.pipe(z.number().min(1, "it must be more than nothing"));

/** Present or not; in a file or the environment true or false. */
export const presence = text.pipe(
  z.enum(["true", "false", "1", "0"], "it must be true or false"),
).transform((given) => given === "true" || given === "1");
