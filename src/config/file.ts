/** A configuration file: JSON, or YAML if its name ends so; keys are the flags' names without dashes. */
import { findSimilar } from "@optique/core/suggestion";
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import * as z from "zod";
import { SallyportError } from "../errors.ts";
import { rightsFault } from "../file_rights.ts";

/** Every key is a text as it stands, whatever it was in the file; of a list, with commas in between. */
export type FileTexts = Record<string, string>;

/** An editor finds the schema with it; it is no setting. */
const SCHEMA_KEY = "$schema";

type ParseYaml = typeof import("./yaml.ts").parseYaml;
let parseYaml: ParseYaml | undefined;

/** What a file may say. */
export interface FileKeys {
  known: ReadonlySet<string>;
  /** Those of them that may be lists. */
  lists: ReadonlySet<string>;
  /**
   * Those of them that are secrets: a file with one must be closed to others, and no file may be
   * changed by everybody. Undefined for who examines such a file.
   */
  secrets: ReadonlySet<string> | undefined;
}

/** Loads what reading `path` takes, which is much for YAML and nothing for JSON. */
export async function prepareFor(path: string | undefined): Promise<void> {
  if (path !== undefined && isYaml(path)) ({ parseYaml } = await import("./yaml.ts"));
}

function isYaml(path: string): boolean {
  return /\.ya?ml$/i.test(path);
}

/**
 * Reads the file at `path`. Throws `file` if it cannot be read or is open to others, and `config` if it
 * is not what it should be; neither quotes it, as it may hold secrets.
 */
export function readConfigFile(path: string, { known, lists, secrets }: FileKeys): FileTexts {
  const { content, rights } = read(path);
  const given = isYaml(path) ? parseAsYaml(content, path) : parseJson(content, path);
  const parsed = fileSchema.safeParse(given);
  if (!parsed.success) {
    throw new SallyportError("config", `configuration ${path}: ${faultOf(parsed.error)}`, {
      hint: "write one object with texts, numbers, true or false; see: sallyport config schema",
    });
  }
  const { [SCHEMA_KEY]: _, ...settings } = parsed.data;
  const unknown = Object.keys(settings).find((key) => !known.has(key));
  if (unknown !== undefined) throw unknownKey(unknown, path, known);
  const list = Object.keys(settings).find((key) => Array.isArray(settings[key]) && !lists.has(key));
  if (list !== undefined) {
    throw new SallyportError(
      "config",
      `configuration ${path}: "${list}" has a value of a kind that it cannot have: a list`,
    );
  }
  const texts = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [key, String(value)]),
  );
  if (secrets) {
    refuseOpen(
      path,
      rights,
      Object.keys(texts).find((key) => isSecret(key, texts, secrets)),
    );
  }
  return texts;
}

/** A secret itself, not where it is. */
function isSecret(key: string, texts: FileTexts, secrets: ReadonlySet<string>): boolean {
  return secrets.has(key) && !/^(@|-$)/.test(texts[key]!);
}

function refuseOpen(path: string, rights: Stats, secret: string | undefined): void {
  if (!rights.isFile()) return;
  const fault = rightsFault(path, rights, secret === undefined ? "settings" : "given");
  if (!fault) return;
  const what = secret === undefined ? "" : ` holds a secret ("${secret}") and`;
  throw new SallyportError("file", `configuration ${path}${what} ${fault.finding}`, {
    hint: fault.remedy,
  });
}

const fileSchema = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]),
);

function read(path: string): { content: string; rights: Stats } {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return { content: readFileSync(file, "utf8"), rights: fstatSync(file) };
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    const why = code === "ENOENT" ? "there is no such file" : message ?? String(error);
    throw new SallyportError("file", `configuration ${path}: ${why}`, { cause: error });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function unknownKey(key: string, path: string, known: ReadonlySet<string>): SallyportError {
  // People write what they know from code or from the environment.
  const asFlag = key.replace(/^-+/, "").replace(/_/g, "-")
    .replace(/[a-z](?=[A-Z])/g, "$&-").toLowerCase();
  const [near] = known.has(asFlag) ? [asFlag] : findSimilar(asFlag, [...known]);
  return new SallyportError("config", `configuration ${path}: "${key}" is no setting`, {
    hint: near === undefined
      ? "the settings are named as the flags without dashes; see: sallyport config schema"
      : `did you mean "${near}"?`,
  });
}

function parseJson(content: string, path: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    const at = /position (\d+)/.exec(String(error))?.[1];
    const line = at === undefined ? undefined : content.slice(0, Number(at)).split("\n").length;
    throw malformed(path, "JSON", line);
  }
}

function parseAsYaml(content: string, path: string): unknown {
  if (parseYaml === undefined) throw new Error("prepareFor was not called for this file");
  const { value, faultyLine } = parseYaml(content);
  if (faultyLine !== undefined) throw malformed(path, "YAML", faultyLine);
  return value;
}

/** The parser's own message may quote the file. */
function malformed(path: string, what: string, line: number | undefined): SallyportError {
  const place = line === undefined ? "" : ` at line ${line}`;
  return new SallyportError("config", `configuration ${path}: not ${what}${place}`);
}

function faultOf(error: z.ZodError): string {
  const key = error.issues[0]?.path.join(".");
  return key ? `"${key}" has a value of a kind that no setting has` : "it is not one object";
}
