/**
 * Loading settings: flags before environment before file before default, and where each value came
 * from, so that a complaint can name the place to mend.
 */
import { readFileSync } from "node:fs";
import * as z from "zod";
import { SallyportError } from "../errors.ts";
import type { Setting, Settings, Values } from "./setting.ts";

/** Where values are looked for. */
export interface Sources {
  /** By the settings' names in code, as the command line gave them. */
  flags: Record<string, string | undefined>;
  env: Record<string, string | undefined>;
  /** Path of a configuration file. */
  file?: string;
}

/** Values and where each came from: a flag, a variable, a file, or "default". */
export interface Loaded<S extends Settings> {
  values: Values<S>;
  /** For messages, for example "--domain" or "INFISICAL_DOMAIN"; undefined where there is no value. */
  from: { [K in keyof S]?: string };
}

/**
 * Gives the values of `settings`. Throws `usage` if a flag, or `config` if a variable or the file, has
 * a value that makes no sense, and `config` or `file` if the file is not what it should be.
 */
export function loadSettings<S extends Settings>(settings: S, sources: Sources): Loaded<S> {
  const file = sources.file === undefined ? {} : readConfigFile(sources.file, settings);
  const values: Record<string, unknown> = {};
  const from: Record<string, string | undefined> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const found = find(name, setting, sources, file);
    if (found) {
      values[name] = read(setting, found);
      from[name] = found.where;
    } else if (setting.default !== undefined) {
      values[name] = setting.schema.parse(setting.default);
      from[name] = "default";
    }
  }
  return { values: values as Values<S>, from: from as Loaded<S>["from"] };
}

interface Found {
  text: string;
  where: string;
  code: "usage" | "config";
}

function find(
  name: string,
  setting: Setting,
  { flags, env, file: path }: Sources,
  file: Record<string, string>,
): Found | undefined {
  const flag = flags[name];
  if (flag !== undefined) return { text: flag, where: setting.flags[0], code: "usage" };
  for (const variable of setting.env ?? []) {
    const text = env[variable];
    if (text) return { text, where: variable, code: "config" };
  }
  const text = file[keyOf(setting)];
  return text === undefined
    ? undefined
    : { text, where: `"${keyOf(setting)}" in ${path}`, code: "config" };
}

/** The value itself may be a secret: a complaint never quotes it. */
function read(setting: Setting, { text, where, code }: Found): unknown {
  const result = setting.schema.safeParse(text);
  if (result.success) return result.data;
  const why = result.error.issues[0]?.message ?? "it makes no sense";
  throw new SallyportError(code, `${where}: ${why}`, { hint: setting.help });
}

function keyOf(setting: Setting): string {
  return setting.flags[0].slice(2);
}

const fileSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

function readConfigFile(path: string, settings: Settings): Record<string, string> {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    const why = code === "ENOENT" ? "there is no such file" : message ?? String(error);
    throw new SallyportError("file", `configuration ${path}: ${why}`, { cause: error });
  }
  const known = new Set(Object.values(settings).map(keyOf));
  const parsed = fileSchema.safeParse(parseJson(content, path));
  if (!parsed.success) {
    throw new SallyportError("config", `configuration ${path}: ${faultOf(parsed.error)}`, {
      hint: `write one JSON object with texts, numbers, true or false: ${[...known].join(", ")}`,
    });
  }
  const unknown = Object.keys(parsed.data).find((key) => !known.has(key));
  if (unknown !== undefined) {
    throw new SallyportError("config", `configuration ${path}: "${unknown}" is no setting`, {
      hint: `known here: ${[...known].join(", ")}`,
    });
  }
  return Object.fromEntries(
    Object.entries(parsed.data).map(([key, value]) => [key, String(value)]),
  );
}

function parseJson(content: string, path: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    // The parser's message may quote the file, and the file may hold a secret.
    const at = /position (\d+)/.exec(String(error))?.[1];
    const line = at === undefined
      ? ""
      : ` at line ${content.slice(0, Number(at)).split("\n").length}`;
    throw new SallyportError("config", `configuration ${path}: not JSON${line}`);
  }
}

function faultOf(error: z.ZodError): string {
  const key = error.issues[0]?.path.join(".");
  return key ? `"${key}" has a value of a kind that no setting has` : "it is not a JSON object";
}
