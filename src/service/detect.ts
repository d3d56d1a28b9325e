/** Which manager runs services on this host. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { SallyportError } from "../errors.ts";
import type { ManagerName } from "./description.ts";

/** What the answer depends on; tests give their own. */
export interface DetectContext {
  platform?: string;
  env: Record<string, string | undefined>;
  exists?(path: string): boolean;
}

/** The manager of this host. Throws `service` if there is none that is known. */
export function detectManager(context: DetectContext): ManagerName {
  const { platform = process.platform, env, exists = existsSync } = context;
  if (platform === "darwin") return "launchd";
  if (platform === "win32") return "windows";
  // sd_booted(3)
  if (exists("/run/systemd/system")) return "systemd";
  if (exists("/run/openrc")) return "openrc";
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const has = (program: string) => folders.some((folder) => exists(join(folder, program)));
  if (has("crontab") && has("flock")) return "cron";
  throw new SallyportError("service", "no service manager is found on this host", {
    hint: "there is no running systemd or OpenRC, and no crontab with flock; sallyport service " +
      "print --manager NAME shows what one of them would need",
  });
}

/** Whether this systemd hands over credentials (version 247); `out` is of `systemctl --version`. */
export function loadsCredentials(out: string): boolean {
  return Number(/^systemd (\d+)/.exec(out)?.[1] ?? 0) >= 247;
}
