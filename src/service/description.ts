/**
 * What a service is, whoever manages it: which command of this program it runs, with what settings, and
 * where its files lie. Pure; how each manager is told is in a file of its own (table.ts).
 */
import { posix, win32 } from "node:path";
import { SallyportError } from "../errors.ts";

/** Who can run a service. */
export const MANAGERS = ["systemd", "launchd", "cron", "windows", "openrc"] as const;
/** One of them. */
export type ManagerName = (typeof MANAGERS)[number];

/** Of the machine, started at boot, or of one user. */
export type Scope = "system" | "user";

/** Which service it is: all that is needed to start, stop, query and remove it. */
export interface ServiceIdentity {
  /** `sallyport-<name>`, or `sallyport-relay-<name>`: the name that the manager knows it by. */
  id: string;
  manager: ManagerName;
  scope: Scope;
  /** The account that it runs as; undefined: the manager's own choice. */
  runAs?: string;
  /** Number of the user who asks. */
  uid: number;
  /** The folder of the user who asks. */
  home: string;
}

/** A service as it is to be installed. */
export interface Service extends ServiceIdentity {
  role: "gateway" | "relay";
  /** The gateway's or the relay's name on the platform. */
  name: string;
  /** Path of this program. */
  binary: string;
  /** Settings by their names in a configuration file; no secret among them. */
  settings: Record<string, string>;
  /** Secrets by their names in a configuration file. */
  secrets: Record<string, string>;
  /** Authorities (PEM) for the platform's https; a copy, which the service's account can read. */
  authorities?: string;
  /** How systemd hands over secrets: `environment` is for versions before 247. */
  credentials: "load" | "environment";
  /** How long the service may take to stop, ms. */
  stopTimeout: number;
  /** It listens on a port below 1024. */
  lowPort: boolean;
}

/** Where a service's files lie. */
export interface Places {
  /** Folder of configuration; services share it. */
  folder: string;
  config: string;
  /** Says what was installed; uninstall reads it. */
  manifest: string;
  /** Folder of what the service remembers. */
  state: string;
  /** What it writes where the manager keeps no journal. */
  log: string;
}

/**
 * The manager's name for the service of a gateway or relay. Throws `usage` for what cannot be part of a
 * file's name everywhere.
 */
export function serviceId(role: Service["role"], name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)) {
    throw new SallyportError("usage", `"${name}" cannot be part of a service's name`, {
      hint: "letters, digits, _ . and - can, up to 64, a letter or digit first",
    });
  }
  return role === "relay" ? `sallyport-relay-${name}` : `sallyport-${name}`;
}

/** Where the files of a service lie. */
export function placesOf({ id, manager, scope, runAs, home }: ServiceIdentity): Places {
  if (manager === "windows") {
    const folder = "C:\\ProgramData\\sallyport";
    return {
      folder,
      config: win32.join(folder, `${id}.json`),
      manifest: win32.join(folder, `${id}.installed.json`),
      state: win32.join(folder, id),
      log: win32.join(folder, id, "sallyport.log"),
    };
  }
  const { folder, state, log } = manager === "launchd"
    ? appleFolders(id, scope, home)
    : unixFolders(id, scope, home);
  return {
    folder,
    config: posix.join(folder, `${id}.json`),
    manifest: posix.join(folder, `${id}.installed.json`),
    state,
    // What another account writes cannot lie in a folder that is the system's.
    log: manager === "cron" || runAs !== undefined && manager === "launchd"
      ? posix.join(state, "sallyport.log")
      : log,
  };
}

function appleFolders(id: string, scope: Scope, home: string) {
  const library = scope === "system" ? "/Library" : posix.join(home, "Library");
  return {
    folder: posix.join(library, "Application Support", "sallyport"),
    state: posix.join(library, "Application Support", id),
    log: posix.join(library, "Logs", `${id}.log`),
  };
}

function unixFolders(id: string, scope: Scope, home: string) {
  if (scope === "system") {
    return { folder: "/etc/sallyport", state: `/var/lib/${id}`, log: `/var/log/${id}.log` };
  }
  const state = posix.join(home, ".local", "state", id);
  return {
    folder: posix.join(home, ".config", "sallyport"),
    state,
    log: posix.join(state, "sallyport.log"),
  };
}
