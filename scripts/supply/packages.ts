/**
 * The npm packages of deno.lock: what each is, under which licence, and what it needs. Nothing is asked
 * of a registry: the lock has their digests, `node_modules` their manifests.
 */
import { Buffer } from "node:buffer";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const INSTALLED = join(ROOT, "node_modules", ".deno");

/** What of a package.json is of interest here. */
export interface PackageManifest {
  name: string;
  version: string;
  license?: string;
  /** How old manifests say it. */
  licenses?: { type: string }[];
  [key: string]: unknown;
}

/** One package of the lock. */
export interface Package {
  /** `name@version` */
  id: string;
  name: string;
  version: string;
  /** Of the archive in the registry, hexadecimal. */
  sha512: string;
  /** Ids of the packages that it needs. */
  needs: string[];
  /** It is for one kind of machine (`os` and `cpu` in the lock). */
  forOneMachine: boolean;
  /** Absent if it is for another kind of machine. */
  installed?: {
    manifest: PackageManifest;
    /** SPDX expression; empty if it names none. */
    licence: string;
    /** Licence and notice files, one after another. */
    notices: string;
  };
}

interface LockEntry {
  integrity: string;
  dependencies?: string[];
  optionalDependencies?: string[];
  os?: string[];
  cpu?: string[];
}

/** Every package that deno.lock names, by id. Rejects if one that should be installed is not. */
export async function readPackages(): Promise<Map<string, Package>> {
  const lock = JSON.parse(await readFile(join(ROOT, "deno.lock"), "utf8")) as {
    npm: Record<string, LockEntry>;
  };
  const entries = Object.entries(lock.npm).map(([key, entry]) => ({
    ...nameAndVersion(key),
    entry,
  }));
  const idsOf = new Map(entries.map(({ name, version }) => [name, `${name}@${version}`]));
  const packages = await Promise.all(entries.map(async ({ name, version, entry }) => {
    const { dependencies = [], optionalDependencies = [], integrity, os, cpu } = entry;
    const needs = [...dependencies, ...optionalDependencies].map((need) =>
      // The lock gives the version where there is more than one.
      need.lastIndexOf("@") > 0 ? idOf(need) : idsOf.get(need)!
    );
    const sha512 = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
    const forOneMachine = os !== undefined || cpu !== undefined;
    const installed = await readInstalled(name, version, forOneMachine);
    return { id: `${name}@${version}`, name, version, sha512, needs, forOneMachine, installed };
  }));
  return new Map(packages.map((one) => [one.id, one]));
}

/** A lock's key: `name@version`, and behind `_` the peers that it was resolved with. */
function nameAndVersion(key: string): { name: string; version: string } {
  const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(key) ?? [];
  if (!name || !version) throw new Error(`deno.lock: "${key}" is no package`);
  return { name, version };
}

function idOf(key: string): string {
  const { name, version } = nameAndVersion(key);
  return `${name}@${version}`;
}

async function readInstalled(
  name: string,
  version: string,
  mayBeAbsent: boolean,
): Promise<Package["installed"]> {
  const folder = join(
    INSTALLED,
    `${name.replace("/", "+")}@${version}`,
    "node_modules",
    name,
  );
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (mayBeAbsent) return undefined;
    throw new Error(`${name}@${version} is not installed: run deno install`, { cause: error });
  }
  const manifest = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  ) as PackageManifest;
  const files = names.filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return {
    manifest,
    licence: manifest.license ?? (manifest.licenses ?? []).map(({ type }) => type).join(" OR "),
    notices: texts.map((text) => text.trim()).join("\n\n"),
  };
}
