/**
 * No secret in any output: tests note the secrets that they make and what programs and logs print, and
 * scripts/test.ts looks for the ones in the others when all is over. Without it nothing is noted.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** Names the folder of the notes. */
export const WATCH = "SALLYPORT_TEST_WATCH";

/** Shorter ones are words that turn up by themselves. */
const SHORTEST = 12;

const folder = process.env[WATCH];

/** `secret` must turn up in no output. A private key is known by one of its lines. */
export function noteSecret(name: string, secret: string): void {
  if (folder === undefined) return;
  const lines = secret.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));
  const part = lines[Math.floor(lines.length / 2)] ?? "";
  if (part.length < SHORTEST) return;
  appendFileSync(join(folder, "secrets"), `${JSON.stringify({ name, secret: part })}\n`);
}

/** What was printed or logged where the suite's own output does not show it. */
export function noteOutput(text: string): void {
  if (folder !== undefined) appendFileSync(join(folder, "output"), text);
}

/** Notes whatever in `value`, as JSON, has the name of a secret. */
export function noteSecretsIn(where: string, value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner !== "string") noteSecretsIn(where, inner);
    else if (/(token|secret|privatekey)$/i.test(key)) noteSecret(`${key} of ${where}`, inner);
  }
}

/** A secret that was found, and the line that it was found in, without it. */
export interface Leak {
  name: string;
  line: string;
}

/** Which of the secrets noted in `folder` are in `outputs` or in what was noted as output. */
export function findLeaks(
  folder: string,
  outputs: readonly string[],
): { secrets: number; leaks: Leak[] } {
  const read = (name: string) => {
    try {
      return readFileSync(join(folder, name), "utf8");
    } catch {
      return "";
    }
  };
  const secrets = new Map<string, string>();
  for (const line of read("secrets").split("\n").filter(Boolean)) {
    const { name, secret } = JSON.parse(line) as { name: string; secret: string };
    if (!secrets.has(secret)) secrets.set(secret, name);
  }
  const printed = [...outputs, read("output")].join("\n");
  const leaks: Leak[] = [];
  for (const [secret, name] of secrets) {
    const at = printed.indexOf(secret);
    if (at < 0) continue;
    const line = printed.slice(printed.lastIndexOf("\n", at) + 1).split("\n")[0]!;
    leaks.push({ name, line: line.replaceAll(secret, "[HERE]") });
  }
  return { secrets: secrets.size, leaks };
}
