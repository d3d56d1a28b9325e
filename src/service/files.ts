/** Files of a service on disk, below a root folder: written atomically, and put back if need be. */
import { randomBytes } from "node:crypto";
import { chmod, chown, lstat, mkdir, open, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { SallyportError } from "../errors.ts";
import type { PlannedFile, PlannedFolder } from "./manager.ts";

/** Gives the number of an account. */
export type Lookup = (account: string) => Promise<number>;

/** Files below one root, and what is needed to undo what was done to them. */
export class FileTree {
  readonly #root: string;
  readonly #lookup: Lookup;
  readonly #undo: (() => Promise<void>)[] = [];
  /** Folders that were made, in that order. */
  readonly made: string[] = [];

  /** @param root what stands before every path; "" for the real tree */
  constructor(root: string, lookup: Lookup) {
    this.#root = root;
    this.#lookup = lookup;
  }

  /** The text of a file, or undefined if there is none. Throws `service`. */
  async read(path: string): Promise<string | undefined> {
    const bytes = await this.#bytes(path);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** Makes a folder, and those above it that are missing. */
  async makeFolder({ path, mode, owner }: PlannedFolder): Promise<void> {
    await this.#told("make", path, async () => {
      await this.#makeAbove(path, mode);
      const real = this.#real(path);
      await chmod(real, mode);
      if (owner !== undefined) await this.#give(real, owner);
    });
  }

  /** Writes a file whole, or not at all; its folder is made if it is missing. */
  async write({ path, mode, text, owner, encoding = "utf8" }: PlannedFile): Promise<void> {
    await this.#told("write", path, async () => {
      await this.#makeAbove(dirnameOf(path), 0o755);
      const before = await this.#bytes(path);
      const oldMode = before && (await lstat(this.#real(path))).mode & 0o7777;
      await this.#replace(path, Buffer.from(text, encoding), mode, owner);
      this.#undo.push(async () => {
        if (before) await this.#replace(path, before, oldMode!, owner);
        else await rm(this.#real(path), { force: true });
      });
    });
  }

  /** Removes files, or folders with everything in them. What is not there is no error. */
  async remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await this.#told(
        "remove",
        path,
        () => rm(this.#real(path), { recursive: true, force: true }),
      );
    }
  }

  /** Removes folders, the last first, as far as nothing is in them. */
  async removeEmpty(folders: readonly string[]): Promise<void> {
    for (const path of [...folders].reverse()) await rmdir(this.#real(path)).catch(() => {});
  }

  /** Undoes everything that was written and made. */
  async undo(): Promise<void> {
    for (const step of this.#undo.splice(0).reverse()) await step();
    await this.removeEmpty(this.made.splice(0));
  }

  #real(path: string): string {
    return this.#root === "" ? path : join(this.#root, path.replace(/^[A-Z]:/, ""));
  }

  async #bytes(path: string): Promise<Buffer | undefined> {
    try {
      return await readFile(this.#real(path));
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return undefined;
      throw fileError("read", path, error);
    }
  }

  async #makeAbove(path: string, mode: number): Promise<void> {
    const missing: string[] = [];
    for (let at = path; !await exists(this.#real(at)); at = dirnameOf(at)) missing.push(at);
    for (const folder of missing.reverse()) {
      await mkdir(this.#real(folder), { mode: folder === path ? mode : 0o755 });
      this.made.push(folder);
    }
  }

  async #replace(path: string, bytes: Buffer, mode: number, owner?: string): Promise<void> {
    const real = this.#real(path);
    const temporary = `${real}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      if (owner !== undefined) await this.#give(temporary, owner);
      await chmod(temporary, mode);
      await rename(temporary, real);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #give(real: string, account: string): Promise<void> {
    const uid = await this.#lookup(account);
    if (process.platform !== "win32") await chown(real, uid, (await lstat(real)).gid);
  }

  async #told(verb: string, path: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      throw fileError(verb, path, error);
    }
  }
}

async function exists(real: string): Promise<boolean> {
  return await lstat(real).then(() => true, () => false);
}

/** Also of a Windows path that is printed elsewhere. */
function dirnameOf(path: string): string {
  return path.includes("\\") ? path.slice(0, path.lastIndexOf("\\")) : dirname(path);
}

function fileError(verb: string, path: string, error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const { code, message } = error as { code?: string; message?: string };
  const why = code === "EACCES" || code === "EPERM"
    ? "permission denied"
    : code === "EROFS"
    ? "the file system is read-only"
    : code === "ENOSPC"
    ? "the disk is full"
    : message ?? String(error);
  return new SallyportError("service", `cannot ${verb} ${path}: ${why}`, { cause: error });
}
