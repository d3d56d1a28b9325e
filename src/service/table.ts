/** The managers by name: adding one is one file and one line. */
import { cron } from "./cron.ts";
import type { ManagerName } from "./description.ts";
import { launchd } from "./launchd.ts";
import { openrc } from "./openrc.ts";
import type { Manager } from "./manager.ts";
import { systemd } from "./systemd.ts";
import { windows } from "./windows.ts";

/** Every manager that a service can be installed with. */
export const managers: Record<ManagerName, Manager> = { systemd, launchd, cron, windows, openrc };
