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
  /** Its value is never shown. */
  secret?: boolean;
  /** May be given several times; in a file it may be a list. Its text has commas in between then. */
  repeatable?: boolean;
}

/** The name under which a configuration file has it. */
export function keyOf({ flags: [flag] }: Pick<Setting, "flags">): string {
  return flag.slice(2);
}

/** What a setting's schema says of itself for JSON Schema; without it any text will do. */
export interface FileType {
  type: "string" | "integer" | "boolean" | readonly ["string", "integer"];
  enum?: readonly string[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
}

const fileTypes = z.registry<FileType>();

/** What JSON Schema is to say of the values that `schema` reads. */
export function fileTypeOf(schema: z.ZodType): FileType {
  return fileTypes.get(schema) ?? { type: "string" };
}

function as<T extends z.ZodType>(type: FileType, schema: T): T {
  fileTypes.add(schema, type);
  return schema;
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
  const last = words.length > 1 ? ` or ${words.at(-1)}` : words[0];
  const list = words.slice(0, -1).join(", ") + last;
  return as(
    { type: "string", enum: words },
    text.pipe(z.enum(words, `it must be ${list}`)),
  );
}

/** A whole number in a range. */
export function whole(smallest: number, largest: number = Number.MAX_SAFE_INTEGER) {
  return as(
    { type: "integer", minimum: smallest, maximum: largest },
    text.pipe(
      z.string().regex(/^\d+$/, "it must be a whole number").transform(Number).pipe(
        z.number().min(smallest, `it must be at least ${smallest}`)
          .max(largest, `it must be at most ${largest}`),
      ),
    ),
  );
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const TIME = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/;
const timeType: FileType = { type: ["string", "integer"], pattern: TIME.source };

/** A span of time: a number with ms, s, m, h or d behind it, or seconds without; gives ms. */
export const duration = as(
  timeType,
  text.transform((given, context) => {
    const match = TIME.exec(given);
    if (!match) {
      context.addIssue("it must be a time such as 500ms, 30s, 5m, 12h or 2d");
      return z.NEVER;
    }
    return Math.round(Number(match[1]) * UNITS[match[2] ?? "s"]!);
  }),
);

/** A span of time that is not nothing. */
export const span = as(timeType, duration.pipe(z.number().min(1, "it must be more than nothing")));

const MULTIPLES: Record<string, number> = { "": 1, K: 1e3, M: 1e6, G: 1e9 };
const BYTES = /^(\d+)([KMG]?)B?$/i;

/** A number of bytes, with K, M or G behind it for thousands, millions and thousand millions. */
export const bytes = as(
  { type: ["string", "integer"], pattern: "^(\\d+)([KMGkmg]?)[Bb]?$" },
  text.transform((given, context) => {
    const match = BYTES.exec(given);
    if (!match) {
      context.addIssue("it must be a size such as 500K, 10M or 1G");
      return z.NEVER;
    }
    return Number(match[1]) * MULTIPLES[match[2]!.toUpperCase()]!;
  }),
);

/** Present or not; in a file or the environment true or false. */
export const presence = as(
  { type: "boolean" },
  text.pipe(
    z.enum(["true", "false", "1", "0"], "it must be true or false"),
  ).transform((given) => given === "true" || given === "1"),
);
