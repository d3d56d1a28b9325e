/** `sallyport platform init`: a new data directory. */
import { existsSync, linkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { insertAuthorities, makeAuthorities } from "./authorities.ts";
import {
  type DataFiles,
  dataFiles,
  makeDirectory,
  storeError,
  temporaryName,
  writeNew,
} from "./data_directory.ts";
import type { KeyType } from "./keys.ts";
import { migrate } from "./migrations.ts";
import { checked, name } from "./names.ts";
import { createOrganisation } from "./organisations.ts";
import { newSealKey, Seal } from "./seal.ts";
import { KEY_CHECK, Store } from "./store.ts";
import { createToken } from "./tokens.ts";

/** How a platform begins. */
export interface InitOptions {
  dataDir: string;
  /** Name of the first organisation. @default "default" */
  organisation?: string;
  /** Of its keys and the instance's. @default "ecdsa" */
  keyType?: KeyType;
  /**
   * Where the key file is to be, so that who takes the directory has no key; the directory then only
   * leads to it. It must not be there yet. @default in the directory
   */
  keyFile?: string;
}

/** What a new platform has. */
export interface InitResult {
  organisation: { id: string; name: string };
  /** With it a relay registers as an instance relay. Not kept: shown this once. */
  relaySecret: string;
}

/**
 * Makes a platform in a directory, wholly or not at all. Throws `platform-store` if there is one
 * already or the directory cannot be used.
 */
export async function initPlatform(options: InitOptions): Promise<InitResult> {
  const { dataDir, organisation = "default", keyType = "ecdsa" } = options;
  checked(name, organisation, "organisation");
  const files = dataFiles(dataDir);
  makeDirectory(dataDir);
  refuseExisting(files);
  const key = newSealKey();
  const temporary = {
    key: temporaryName(options.keyFile ?? files.key),
    database: temporaryName(files.database),
  };
  try {
    link(temporary.key, () => writeNew(temporary.key, key));
    // SQLite would make the file with the rights that the umask leaves.
    writeNew(temporary.database, "");
    const result = await fill(temporary.database, new Seal(key), organisation, keyType);
    publish(temporary, files, options.keyFile);
    return result;
  } finally {
    key.fill(0);
    rmSync(temporary.key, { force: true });
    rmSync(temporary.database, { force: true });
    rmSync(`${temporary.database}-journal`, { force: true });
  }
}

function refuseExisting(files: DataFiles): void {
  for (const path of [files.database, files.key]) {
    if (existsSync(path)) throw alreadyThere(path);
  }
}

function alreadyThere(path: string, cause?: unknown) {
  return storeError(
    `there is a platform already: ${path} exists`,
    "use it, or choose another directory with --data",
    cause,
  );
}

async function fill(
  path: string,
  seal: Seal,
  name: string,
  keyType: KeyType,
): Promise<InitResult> {
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: true });
  const store = new Store(database, seal, () => new Date());
  try {
    migrate(database, store.now());
    const { id } = await createOrganisation(store, { name, keyType });
    const authorities = await makeAuthorities(null, keyType, seal, store.now());
    return store.transaction(() => {
      insertAuthorities(store, authorities);
      const check = seal.close(new TextEncoder().encode(KEY_CHECK), KEY_CHECK);
      store.run("INSERT INTO setting VALUES (?, ?)", KEY_CHECK, check);
      const { token: relaySecret } = createToken(store, { kind: "instance" });
      return { organisation: { id, name }, relaySecret };
    });
  } finally {
    store.close();
  }
}

/** The key's link decides between two that begin at once: it never replaces a file. */
function publish(
  temporary: { key: string; database: string },
  files: DataFiles,
  keyFile = files.key,
): void {
  const elsewhere = keyFile !== files.key;
  link(keyFile, () => linkSync(temporary.key, keyFile));
  try {
    if (elsewhere) link(files.key, () => symlinkSync(resolve(keyFile), files.key));
  } catch (error) {
    rmSync(keyFile);
    throw error;
  }
  renameSync(temporary.database, files.database);
}

function link(path: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") throw alreadyThere(path, error);
    throw storeError(
      `cannot write ${path}: ${(error as Error).message}`,
      "choose another directory with --data, or another --key-file",
      error,
    );
  }
}
