/** Each command that stays gives up what it has no need of, as soon as it knows its settings. */
import { namedFiles, type NamingValues } from "../config/named_files.ts";
import { type Files, isNarrowed } from "../least_power.ts";
import { logger } from "../log.ts";
import type { CommandContext } from "./context.ts";
import { type GivenFlags, sourcesOf } from "./flags.ts";

const log = logger("cli");

/**
 * Keeps the configuration file, which may be read again, the files that `values` name, and `more`; gives
 * up every other one, and says at level debug what that leaves.
 */
export function keepOnly(
  flags: GivenFlags,
  values: NamingValues,
  context: CommandContext,
  more: Partial<Files> = {},
): void {
  if (!context.keepOnlyFiles) return;
  const { file } = sourcesOf(flags, context);
  const named = namedFiles(values);
  const read = [...(file === undefined ? [] : [file]), ...named.read, ...more.read ?? []];
  const write = [...named.write, ...more.write ?? []];
  context.keepOnlyFiles({ read, write });
  if (isNarrowed()) {
    log.debug("may read {read}; read and write {write}; connect and listen; run nothing", {
      read: read.join(", ") || "nothing",
      write: write.join(", ") || "nothing",
    });
  } else {
    log.debug("may read and write what its user may; connect and listen; run nothing");
  }
}
