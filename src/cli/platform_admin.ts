/** The data directory of the embedded platform, for the commands that administer it. */
import { join } from "node:path";
import { stateDirectory } from "../config/directories.ts";
import type { PlatformAdmin } from "../platform/admin.ts";
import type { CommandContext } from "./context.ts";

/** What `--data` says, or where it is otherwise. */
export function dataDir(data: string | undefined, { env }: CommandContext): string {
  return data ?? join(stateDirectory({ env }), "platform");
}

/** Opens it, uses it, closes it. */
export async function withAdmin<T>(
  data: string | undefined,
  context: CommandContext,
  use: (admin: PlatformAdmin) => T | Promise<T>,
): Promise<T> {
  const { PlatformAdmin } = await import("../platform/admin.ts");
  const admin = await PlatformAdmin.open(dataDir(data, context));
  try {
    return await use(admin);
  } finally {
    admin.close();
  }
}
