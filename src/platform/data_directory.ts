/** Where the platform keeps its state: one folder for one user, and what is in it. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { SallyportError } from "../errors.ts";
import { type FileRights, rightsFault } from "../file_rights.ts";

/** The files of a data directory. */
export interface DataFiles {
  directory: string;
  /** SQLite database. */
  database: string;
  /** The key that seals the authorities' private keys, or a link to where it lies. */
  key: string;
  /** Certificate of the API's own authority, PEM; for those who connect with https. */
  apiCertificate: string;
}

/** The paths in a data directory. */
export function dataFiles(directory: string): DataFiles {
  return {
    directory,
    database: join(directory, "platform.db"),
    key: join(directory, "platform.key"),
    apiCertificate: join(directory, "api-ca.pem"),
  };
}

/** A `platform-store` error. */
export function storeError(message: string, hint: string, cause?: unknown): SallyportError {
  return new SallyportError("platform-store", message, { hint, cause });
}

/** Makes the directory, mode 0700. Throws `platform-store` if it is there and open to others. */
export function makeDirectory(directory: string): void {
  try {
    if (!existsSync(directory)) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      if (process.platform !== "win32") chmodSync(directory, 0o700);
    }
  } catch (error) {
    throw storeError(
      `cannot make ${directory}: ${(error as Error).message}`,
      "choose another place with --data",
      error,
    );
  }
  refuseOpen(directory);
}

/** Throws `platform-store` if others have any right to the path, or if it is another user's. */
export function refuseOpen(path: string, rights: FileRights = statSync(path)): void {
  const fault = rightsFault(path, rights, "own");
  if (fault) throw storeError(`${path} ${fault.finding}`, fault.remedy);
}

/** Writes a file of the owner's as a whole: a reader sees the old content or the new one. */
export function writeOwnFile(path: string, content: Uint8Array | string): void {
  const temporary = temporaryName(path);
  try {
    writeNew(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw storeError(
      `cannot write ${path}: ${(error as Error).message}`,
      "check the disk and who owns the data directory",
      error,
    );
  }
}

/** Makes a file that was not there, mode 0600, and brings it to the disk. */
export function writeNew(path: string, content: Uint8Array | string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A name beside `path` that nobody else uses. */
export function temporaryName(path: string): string {
  return `${path}.${randomBytes(6).toString("hex")}.tmp`;
}
