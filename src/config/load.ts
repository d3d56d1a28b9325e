/**
 * Loading settings: flags before environment before file before default, and where each value came
 * from, so that a complaint can name the place to mend.
 */
import { SallyportError } from "../errors.ts";
import { type FileTexts, readConfigFile } from "./file.ts";
import { keyOf, type Setting, type Settings, type Values } from "./setting.ts";

/** Where values are looked for. */
export interface Sources {
  /** By the settings' names in code, as the command line gave them. */
  flags: Record<string, string | undefined>;
  env: Record<string, string | undefined>;
  /** Path of a configuration file. */
  file?: string;
  /** Keys that the file may have, for other commands than this one. @default none */
  known?: ReadonlySet<string>;
  /** Those of them that may be lists. @default none */
  lists?: ReadonlySet<string>;
  /** Those of them that are secrets. @default none */
  secrets?: ReadonlySet<string>;
  /** True for who examines a file that may be open to others. @default false */
  openFile?: boolean;
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
  const file = fileOf(settings, sources);
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

/** A setting as a person is shown it. */
export interface Shown {
  key: string;
  setting: Setting;
  /** As it was given; undefined where there is no value. */
  text: string | undefined;
  /** Where that is: "--domain", "INFISICAL_DOMAIN", a place in a file, or "default". */
  from: string | undefined;
}

/**
 * Every one of `settings` with its value and the place that this is from, and the keys of the file that
 * are for other commands. Throws as `loadSettings` does.
 */
export function explainSettings(
  settings: Settings,
  sources: Sources,
): { shown: Shown[]; unused: string[] } {
  loadSettings(settings, sources);
  const file = fileOf(settings, sources);
  const shown = Object.entries(settings).map(([name, setting]) => {
    const found = find(name, setting, sources, file);
    const text = found?.text ?? setting.default;
    const from = found?.where ?? (text === undefined ? undefined : "default");
    return { key: keyOf(setting), setting, text, from };
  });
  const keys = new Set(shown.map(({ key }) => key));
  return { shown, unused: Object.keys(file).filter((key) => !keys.has(key)) };
}

function fileOf(
  settings: Settings,
  { file, known = new Set(), lists = new Set(), secrets = new Set(), openFile = false }: Sources,
): FileTexts {
  if (file === undefined) return {};
  const own = Object.values(settings);
  return readConfigFile(file, {
    known: new Set([...own.map(keyOf), ...known]),
    lists: new Set([...own.filter(({ repeatable }) => repeatable).map(keyOf), ...lists]),
    secrets: openFile
      ? undefined
      : new Set([...own.filter(({ secret }) => secret).map(keyOf), ...secrets]),
  });
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
  file: FileTexts,
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
