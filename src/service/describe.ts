/** From settings as a person gave them to the description of a service. */
import { isAbsolute } from "node:path";
import type { Loaded } from "../config/load.ts";
import type { Setting, Settings } from "../config/setting.ts";
import { secretSource } from "../enroll/secret.ts";
import { SallyportError } from "../errors.ts";
import type { Service } from "./description.ts";

/** Settings that are secrets, by their names in code. */
const SECRETS = ["token", "clientSecret", "relaySecret"];
/** What is not written into the service's configuration, because it is said in another way. */
const ELSEWHERE = new Set([...SECRETS, "name", "caFile", "stateDir"]);
/** Shown in place of a secret that is not read. */
export const SECRET_SHOWN = "[secret]";
/** Beside the drain: heartbeats and sessions are closed, ms. */
const STOP_MARGIN = 15_000;
/** A relay drains its sessions, ms. */
const RELAY_DRAIN = 15_000;

/** Settings that were loaded, and the flags' own words for them. */
export interface Given {
  settings: Settings;
  loaded: Loaded<Settings>;
  flags: Record<string, string | undefined>;
}

/** What was set, by its name in a configuration file, without secrets. */
export function settingTexts({ settings, loaded, flags }: Given): Record<string, string> {
  const entries = Object.entries(settings)
    .filter(([name]) => !ELSEWHERE.has(name) && isSet(name, loaded))
    .map(([name, setting]) => [keyOf(setting), flags[name] ?? textOf(setting, loaded, name)]);
  return Object.fromEntries(entries);
}

/** The secrets by their names in a configuration file; `read` asks for their text. */
export async function secretTexts(
  { settings, loaded }: Given,
  { read }: { read: boolean },
): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {};
  for (const name of SECRETS) {
    const setting = settings[name];
    const given = loaded.values[name] as string | undefined;
    if (!setting || given === undefined) continue;
    secrets[keyOf(setting)] = read
      ? await secretSource(given, { what: loaded.from[name] }).read()
      : SECRET_SHOWN;
  }
  return secrets;
}

/** How long the service may take to stop, ms. */
export function stopTimeoutOf({ values }: Loaded<Settings>): number {
  return ((values.drainTimeout as number | undefined) ?? RELAY_DRAIN) + STOP_MARGIN;
}

/** Whether one of the listening addresses needs a privilege. */
export function needsLowPort(settings: Service["settings"]): boolean {
  return Object.entries(settings).some(([key, text]) => {
    const port = key.endsWith("listen") ? Number(/:(\d+)$/.exec(text)?.[1]) : 0;
    return port > 0 && port < 1024;
  });
}

/** Folders that a hardened unit does not see, or that are emptied at boot. */
const HIDDEN = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"];

/** Throws `usage` if a service could not run a program that lies there. */
export function checkBinary(
  binary: string,
  { manager, scope }: Pick<Service, "manager" | "scope">,
) {
  if (manager !== "windows" && !isAbsolute(binary)) {
    throw new SallyportError("usage", `--binary: ${binary} is not an absolute path`);
  }
  const hidden = HIDDEN.find((folder) => binary.startsWith(folder));
  if (manager === "systemd" && scope === "system" && hidden !== undefined) {
    throw new SallyportError("usage", `a service of the machine does not see ${hidden}`, {
      hint: `install -m 755 ${binary} /usr/local/bin/sallyport, and run that one`,
    });
  }
}

function isSet(name: string, { values, from }: Loaded<Settings>): boolean {
  return values[name] !== undefined && from[name] !== "default";
}

function keyOf(setting: Setting): string {
  return setting.flags[0].slice(2);
}

/** A value as it can be read again: the schema is asked, because spans of time are kept in ms. */
function textOf(setting: Setting, { values }: Loaded<Settings>, name: string): string {
  const value = values[name];
  return [String(value), `${value}ms`].find((text) =>
    setting.schema.safeParse(text).data === value
  ) ??
    String(value);
}
