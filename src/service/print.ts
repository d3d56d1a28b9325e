/** A plan as a person reads it. Pure. */
import { SECRET_SHOWN } from "./describe.ts";
import type { CrontabBlock, PlannedCommand } from "./manager.ts";
import type { ServicePlan } from "./plan.ts";
import { quoteShell } from "./shell.ts";

/** Every file with its text, then the commands; secrets are not shown. */
export function printPlan({ files, folders, commands }: ServicePlan): string {
  return [
    ...folders.map(({ path, mode, owner }) => head(`folder ${path}`, mode, owner)),
    ...files.map(({ path, mode, owner, secret, text }) => {
      const shown = secret ? `${SECRET_SHOWN}\n` : text.replace(/^\ufeff/, "");
      return `${head(path, mode, owner)}\n${shown}`;
    }),
    ...(commands.crontab ? [crontab(commands.crontab)] : []),
    part("install", [...commands.prepare ?? [], ...commands.install]),
    part("uninstall", [...commands.uninstall, ...commands.removed ?? []]),
    part("start", commands.start),
    part("stop", commands.stop),
    part("status", [commands.status]),
  ].join("\n").trimEnd();
}

function head(what: string, mode: number, owner: string | undefined): string {
  const octal = mode.toString(8).padStart(4, "0");
  return `==> ${what} (${octal}${owner === undefined ? "" : `, ${owner}`})`;
}

function crontab({ user, lines }: CrontabBlock): string {
  return [`==> crontab${user === undefined ? "" : ` of ${user}`}`, ...lines, ""].join("\n");
}

function part(title: string, commands: readonly PlannedCommand[]): string {
  return [`==> ${title}`, ...commands.map(({ run }) => run.map(quoteShell).join(" ")), ""].join(
    "\n",
  );
}
