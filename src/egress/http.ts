/** Outbound HTTPS: whom it trusts. Proxies are honoured by fetch itself (HTTPS_PROXY, NO_PROXY). */
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { SallyportError } from "../errors.ts";

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * A fetch that trusts the public authorities, those of the system (which is where a company that looks
 * into TLS puts its own), and those in `caFile`. Throws `file` or `config` if that holds none.
 */
export async function httpFetch(caFile?: string): Promise<typeof fetch> {
  const { system, own } = await trustedAuthorities(caFile);
  const caCerts = [...system, ...own];
  const client = Deno.createHttpClient({ caCerts });
  return (input, init) =>
    fetch(input, { ...init, client } as RequestInit & { client: Deno.HttpClient });
}

/** Whom `httpFetch` trusts beside the public authorities, PEM. Throws as it does. */
export async function trustedAuthorities(
  caFile?: string,
): Promise<{ system: string[]; own: string[] }> {
  const own = caFile === undefined ? [] : await readAuthorities(caFile);
  return { system: systemAuthorities(), own };
}

/** A system without a store of its own is no reason not to start. */
function systemAuthorities(): string[] {
  try {
    return getCACertificates("system");
  } catch {
    return [];
  }
}

async function readAuthorities(path: string): Promise<string[]> {
  const found = (await readNamedFile(path, "--ca-file")).match(PEM);
  if (found) return found;
  throw new SallyportError("config", `--ca-file: ${path} holds no PEM certificate`);
}

/** The text of a file that a person named with the flag `setting`. Throws `file`. */
export async function readNamedFile(path: string, setting: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    const why = code === "ENOENT" ? "there is no such file" : message ?? String(error);
    throw new SallyportError("file", `${setting}: ${path}: ${why}`, { cause: error });
  }
}
