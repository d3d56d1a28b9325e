/**
 * What an enrolled gateway or relay must remember: its id and its own token. One JSON file for each,
 * readable by its owner alone, replaced as a whole so that a crash leaves the old or the new one.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import * as z from "zod";
import { SallyportError } from "../errors.ts";
import { type FileRights, rightsFault } from "../file_rights.ts";

const VERSION = 1;

const schema = z.object({
  version: z.literal(VERSION),
  /** The platform's id of it. */
  id: z.string().min(1),
  /** Its own token. */
  accessToken: z.string().min(1),
  /** API base URL of the platform that gave it. */
  domain: z.string().min(1),
  /** SHA-256 (hex) of the one-time token that it was traded for. */
  enrolment: z.string().optional(),
});

/** Whose state it is. */
export type EnrolledKind = "gateway" | "relay";

/** What is remembered of one gateway or relay. */
export type EnrolledState = Omit<z.infer<typeof schema>, "version">;

/** The state file of one gateway or relay. */
export class StateFile {
  readonly path: string;
  readonly #dir: string;

  /**
   * @param dir made with mode 0700 if it is missing
   * @param name of the gateway or relay
   */
  constructor(dir: string, name: string, readonly kind: EnrolledKind = "gateway") {
    this.#dir = dir;
    this.path = join(dir, `${kind}-${fileSafe(name)}.json`);
  }

  /**
   * What was saved, or undefined. Throws `state` if it is unreadable or damaged, or if it or its folder
   * is open to others.
   */
  async load(): Promise<EnrolledState | undefined> {
    let text: string;
    try {
      this.#refuseOpen(this.#dir, await stat(this.#dir));
      const file = await open(this.path, "r");
      try {
        this.#refuseOpen(this.path, await file.stat());
        text = await file.readFile("utf8");
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof SallyportError) throw error;
      if ((error as { code?: string }).code === "ENOENT") return undefined;
      throw stateError("read", this.path, error);
    }
    return this.#parse(text);
  }

  /** Saves atomically. Throws `state`; what was there before is still there then. */
  async save(state: EnrolledState): Promise<void> {
    const text = JSON.stringify({ version: VERSION, ...state }, null, 2) + "\n";
    await this.#makeDirectory();
    const temporary = `${this.path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await writeSynced(temporary, text);
      await rename(temporary, this.path);
      await syncDirectory(this.#dir);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw stateError("write", this.path, error);
    }
  }

  /**
   * Throws `state` unless something can be saved here. To be asked before a one-time token is spent,
   * because what it is traded for could not be kept otherwise.
   */
  async check(): Promise<void> {
    await this.#makeDirectory();
    const probe = `${this.path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await writeSynced(probe, "probe\n".repeat(1024));
    } catch (error) {
      throw stateError("write", this.path, error);
    } finally {
      await unlink(probe).catch(() => {});
    }
  }

  async #makeDirectory(): Promise<void> {
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      const folder = await stat(this.#dir);
      if (!folder.isDirectory()) throw new Error("it is not a directory");
      this.#refuseOpen(this.#dir, folder);
    } catch (error) {
      throw stateError("make", this.#dir, error);
    }
  }

  #refuseOpen(path: string, rights: FileRights): void {
    const fault = rightsFault(path, rights, "own");
    if (!fault) return;
    const holds = path === this.path
      ? `holds the ${this.kind}'s token and`
      : "is to hold secrets and";
    const elsewhere = path === this.path
      ? ""
      : ", or name a folder that is not there yet with --state-dir: it is made as it must be";
    throw new SallyportError("state", `${path} ${holds} ${fault.finding}`, {
      hint: fault.remedy + elsewhere,
    });
  }

  #parse(text: string): EnrolledState {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    const result = schema.safeParse(json);
    if (result.success) {
      const { version: _, ...state } = result.data;
      return state;
    }
    const fields = [...new Set(result.error.issues.map(({ path }) => path.join(".")))];
    const what = json === undefined ? "not JSON" : `wrong or missing: ${fields.join(", ")}`;
    throw new SallyportError("state", `${this.path} is damaged (${what})`, {
      hint: "restore it, or remove it and enrol with a new token",
    });
  }
}

/** Names may hold anything; file names may not, and none may leave the directory. */
function fileSafe(name: string): string {
  return encodeURIComponent(name).replace(/[*'()!~]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A rename is only safe from a power cut once the directory is on disk; Windows has no such call. */
async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const CURES: Record<string, [why: string, cure: string]> = {
  EROFS: ["the file system is read-only", "choose a writable place with --state-dir"],
  ENOSPC: ["the disk is full", "free some space on it or choose another place with --state-dir"],
  EDQUOT: ["the disk quota is used up", "free some space or choose another place with --state-dir"],
  EACCES: ["permission denied", "give the directory to this user, or choose another --state-dir"],
  EPERM: ["permission denied", "give the directory to this user, or choose another --state-dir"],
  ENOTDIR: ["a part of the path is not a directory", "choose another place with --state-dir"],
  EEXIST: ["a part of the path is not a directory", "choose another place with --state-dir"],
};

function stateError(verb: string, path: string, error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const { code, message } = error as { code?: string; message?: string };
  const [why, hint] = CURES[code ?? ""] ??
    [message ?? String(error), "choose another place with --state-dir"];
  return new SallyportError("state", `cannot ${verb} ${path}: ${why}`, { hint, cause: error });
}
