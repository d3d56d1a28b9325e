/**
 * Who besides this program's user may read or change a file, where that matters: secrets and their
 * folders, and what decides where they are sent. As OpenSSH's StrictModes and its private keys, such a
 * file is refused rather than warned about. Pure; Windows has access lists instead, which are not read.
 */
import process from "node:process";

/** What a file is to this program. */
export type FileRole =
  /** A secret that the program has written itself, or the folder of such: nobody else's in any way. */
  | "own"
  /** A secret that a person has put there. Its group may read it, as Kubernetes' fsGroup makes it. */
  | "given"
  /** Settings without a secret: who changes them decides where secrets go. */
  | "settings";

/** A file as the system describes it (stat). */
export interface FileRights {
  mode: number;
  /** Number of the user whom it belongs to. */
  uid: number;
}

/** Whose program this is. */
export interface RightsContext {
  /** @default process.platform */
  platform?: string;
  /** Number of this user. @default the process's effective one */
  uid?: number;
}

/** What is wrong with a file, and what helps. */
export interface RightsFault {
  /** For example "can be read by others (mode 0644)". */
  finding: string;
  remedy: string;
}

/** Bits of a mode that must not be set. */
export const FORBIDDEN: Record<FileRole, number> = { own: 0o077, given: 0o027, settings: 0o002 };

/** Why the file or folder at `path` is refused; undefined if it is not. Root may be given anybody's. */
export function rightsFault(
  path: string,
  { mode, uid: owner }: FileRights,
  role: FileRole,
  { platform = process.platform, uid = process.geteuid?.() ?? 0 }: RightsContext = {},
): RightsFault | undefined {
  if (platform === "win32") return undefined;
  const bits = mode & FORBIDDEN[role];
  if (bits !== 0) {
    const verb = (bits & 0o022) !== 0 ? "changed" : "read";
    const octal = (mode & 0o777).toString(8).padStart(4, "0");
    return {
      finding: `can be ${verb} by others (mode ${octal})`,
      remedy: remedyFor(path, role, mode),
    };
  }
  if (owner === uid || owner === 0 || uid === 0) return undefined;
  return {
    finding: `belongs to the user ${owner}, not to this one (${uid})`,
    remedy: `chown ${uid} ${path}, or run this as that user`,
  };
}

const DIRECTORY = 0o040000;
const KIND = 0o170000;

function remedyFor(path: string, role: FileRole, mode: number): string {
  if (role === "settings") return `chmod o-w ${path}`;
  if ((mode & KIND) === DIRECTORY) return `chmod 700 ${path}`;
  const readable = (mode & 0o004) !== 0
    ? ", and replace the secret if others may have read it"
    : "";
  const mounted = role === "given" ? " (of a mounted secret: its defaultMode)" : "";
  return `chmod 600 ${path}${mounted}${readable}`;
}
