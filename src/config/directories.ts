/** Where things are kept when nobody says so: each system's own place for a program's state. */
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** What the answer depends on; tests give their own. */
export interface DirectoryContext {
  platform?: string;
  env: Record<string, string | undefined>;
  home?: string;
  /** The user's number; 0 is root. */
  uid?: number;
}

/**
 * This user's state directory for sallyport: `/var/lib/sallyport` for root on Linux, the XDG state home
 * for others, `~/Library/Application Support` on macOS, `%LOCALAPPDATA%` (or `%ProgramData%`) on
 * Windows.
 */
export function stateDirectory(context: DirectoryContext): string {
  const {
    platform = process.platform,
    env,
    home = homedir(),
    uid = process.getuid?.(),
  } = context;
  if (platform === "win32") {
    return join(env.LOCALAPPDATA ?? env.ProgramData ?? home, "sallyport");
  }
  if (platform === "darwin") {
    return uid === 0
      ? "/Library/Application Support/sallyport"
      : join(home, "Library", "Application Support", "sallyport");
  }
  if (env.XDG_STATE_HOME) return join(env.XDG_STATE_HOME, "sallyport");
  return uid === 0 ? "/var/lib/sallyport" : join(home, ".local", "state", "sallyport");
}
