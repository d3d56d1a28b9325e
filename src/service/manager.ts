/** What a service manager is to this program: files, commands, and how it is given secrets. Pure. */
import { posix, win32 } from "node:path";
import type { Places, Service, ServiceIdentity } from "./description.ts";

/** A file to be written. */
export interface PlannedFile {
  path: string;
  /** Permission bits. */
  mode: number;
  text: string;
  /** The account that it belongs to. @default who installs it */
  owner?: string;
  /** Its text is never shown. */
  secret?: boolean;
  /** @default utf8 */
  encoding?: "utf8" | "utf16le";
}

/** A program to be run. */
export interface PlannedCommand {
  run: readonly [program: string, ...args: string[]];
  /** Nothing is wrong if it fails: it undoes what may not be there. */
  mayFail?: boolean;
}

/** A folder that the service's account writes to. */
export interface PlannedFolder {
  path: string;
  mode: number;
  owner?: string;
}

/** Lines between two markers in a user's crontab. */
export interface CrontabBlock {
  /** Whose table; undefined: that of the user who asks. */
  user?: string;
  lines: readonly string[];
}

/** How a service that is installed is driven. */
export interface ServiceCommands {
  /** Once the folders are there, before any file is written. */
  prepare?: readonly PlannedCommand[];
  /** After the files are written: enables it and starts it, anew if it already runs. */
  install: readonly PlannedCommand[];
  /** Before the files are removed. */
  uninstall: readonly PlannedCommand[];
  /** After the files are removed. */
  removed?: readonly PlannedCommand[];
  start: readonly PlannedCommand[];
  stop: readonly PlannedCommand[];
  /** Prints what the manager knows; fails if the service does not run. */
  status: PlannedCommand;
  crontab?: CrontabBlock;
}

/** How one manager is told. */
export interface Manager {
  scopes: readonly ServiceIdentity["scope"][];
  /** The files of its own kind. */
  files(service: Service, places: Places): PlannedFile[];
  commands(identity: ServiceIdentity, places: Places): ServiceCommands;
  /** The manager makes the state folder. @default false */
  makesState?: boolean;
  /** Whether secrets stand in files that the configuration names. @default true */
  namesSecrets?(service: Pick<Service, "scope">): boolean;
  /** What the service leaves behind that is not in its state folder or log. */
  remains?(identity: ServiceIdentity): string[];
}

/** Path of the file with one secret of a service. */
export function secretPath({ id, manager }: ServiceIdentity, { folder }: Places, key: string) {
  return pathsOf(manager).join(folder, `${id}.${key}`);
}

/** How paths are written where a manager runs. */
export function pathsOf(manager: ServiceIdentity["manager"]) {
  return manager === "windows" ? win32 : posix;
}

/** The arguments of this program that run the service. */
export function serviceArguments(service: Service, { config }: Places): string[] {
  const { role, name } = service;
  const named = role === "gateway"
    ? ["gateway", "start", name]
    : ["relay", "start", "--name", name];
  return [...named, "--config", config];
}
