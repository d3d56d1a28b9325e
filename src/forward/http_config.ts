/** The line that opens http mode: `CONFIG`, `ca=` and `verify=` (protocol.md). Pure. */
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { SallyportError } from "../errors.ts";

/** Most bytes of a CONFIG line; a chain of a dozen RSA certificates has a fifth of that. */
export const MAX_CONFIG_LINE = 256 * 1024;

/** How an https target is to be verified. */
export interface HttpConfig {
  /** Authorities, PEM; instead of the public ones. */
  ca?: string;
  /** False takes any certificate. Without a word about it: true. */
  verify: boolean;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads the line (without its newline). Words that it does not know are ignored, as the real gateway
 * does; a known word with a value that makes no sense, or given twice, throws `route-malformed`.
 */
export function parseHttpConfig(line: string): HttpConfig {
  const [keyword, ...words] = line.split(" ").filter((word) => word !== "");
  if (keyword !== "CONFIG") throw malformed('it does not begin with "CONFIG"');
  const ca = valueOf(words, "ca");
  const verify = valueOf(words, "verify");
  return {
    ...(ca === undefined ? {} : { ca: readAuthorities(ca) }),
    verify: verify === undefined ? true : readBoolean(verify),
  };
}

function malformed(what: string, cause?: unknown): SallyportError {
  return new SallyportError("route-malformed", `the CONFIG line is malformed: ${what}`, { cause });
}

function valueOf(words: string[], name: string): string | undefined {
  const values = words.filter((word) => word.startsWith(`${name}=`))
    .map((word) => word.slice(name.length + 1));
  if (values.length > 1) throw malformed(`${name}= is given twice`);
  return values[0];
}

function readBoolean(text: string): boolean {
  if (text === "true") return true;
  if (text === "false") return false;
  throw malformed("verify= is neither true nor false");
}

function readAuthorities(text: string): string {
  if (text === "" || !BASE64.test(text)) throw malformed("ca= is not base64");
  const certificates = Buffer.from(text, "base64").toString("latin1").match(PEM_CERTIFICATE) ?? [];
  if (certificates.length === 0) throw malformed("ca= holds no PEM certificate");
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw malformed("ca= holds a certificate that cannot be read", cause);
    }
  }
  return certificates.join("\n") + "\n";
}
