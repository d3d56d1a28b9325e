/**
 * Secrets as people give them: the text itself, `@path` for a file, `-` for standard input, so that
 * none has to show in `ps`.
 */
import { open } from "node:fs/promises";
import process from "node:process";
import { SallyportError } from "../errors.ts";
import { rightsFault } from "../file_rights.ts";
import { hideSecret } from "../log.ts";

/** Largest secret that is read, bytes. */
const MAX_SECRET = 64 * 1024;

/** Where a secret comes from. */
export interface SecretSource {
  readonly kind: "literal" | "file" | "stdin";
  /** For messages: the file's path, "standard input" or "the command line"; never the secret. */
  readonly where: string;
  /**
   * The secret, without surrounding white space. A file is read anew at each call, so that a rotated
   * secret is seen. Throws `file` if it cannot be read or others may read it, `config` if it is empty.
   */
  read(): Promise<string>;
}

/** How a secret's text is read. */
export interface SecretOptions {
  /** Names the setting in errors. @default "secret" */
  what?: string;
  /** @default process.stdin */
  stdin?: AsyncIterable<Uint8Array | string>;
}

/** Makes a source of what the person wrote: `@path`, `-`, or the secret itself. */
export function secretSource(text: string, options: SecretOptions = {}): SecretSource {
  const { what = "secret" } = options;
  if (text === "-") return fromStdin(what, options.stdin ?? process.stdin);
  if (text.startsWith("@")) return fromFile(text.slice(1), what);
  return {
    kind: "literal",
    where: "the command line",
    read: () => Promise.resolve().then(() => notEmpty(text, what, "the text given")),
  };
}

function fromFile(path: string, what: string): SecretSource {
  return {
    kind: "file",
    where: path,
    async read() {
      try {
        await using file = await open(path, "r");
        const found = await file.stat();
        if (found.size > MAX_SECRET) throw new Error(`it is longer than ${MAX_SECRET} bytes`);
        // A pipe or a terminal is nobody else's.
        const fault = found.isFile() ? rightsFault(path, found, "given") : undefined;
        if (fault) {
          throw new SallyportError("file", `${what}: ${path} ${fault.finding}`, {
            hint: fault.remedy,
          });
        }
        return notEmpty(await file.readFile("utf8"), what, path);
      } catch (error) {
        if (error instanceof SallyportError) throw error;
        throw cannotRead(error, what, path);
      }
    },
  };
}

function fromStdin(what: string, stdin: AsyncIterable<Uint8Array | string>): SecretSource {
  let once: Promise<string> | undefined;
  return {
    kind: "stdin",
    where: "standard input",
    read: () => once ??= readAll(stdin, what),
  };
}

async function readAll(input: AsyncIterable<Uint8Array | string>, what: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of input) {
    text += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    if (text.length > MAX_SECRET) {
      throw new SallyportError(
        "config",
        `${what}: more than ${MAX_SECRET} bytes on standard input`,
      );
    }
  }
  return notEmpty(text, what, "standard input");
}

function notEmpty(text: string, what: string, where: string): string {
  const secret = text.trim();
  if (secret === "") throw new SallyportError("config", `${what}: ${where} is empty`);
  hideSecret(secret);
  return secret;
}

function cannotRead(error: unknown, what: string, path: string): SallyportError {
  const { code, message } = error as { code?: string; message?: string };
  const why = code === "ENOENT"
    ? "there is no such file"
    : code === "EACCES"
    ? "this user may not read it"
    : message ?? String(error);
  return new SallyportError("file", `${what}: ${path}: ${why}`, {
    hint: "after @ stands the path of a file that holds the secret and nothing else",
    cause: error,
  });
}
