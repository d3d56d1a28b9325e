/** The files that a command's settings name. */
import type { authSettings, caFileSetting, commonSettings, logFileSettings } from "./common.ts";
import type { connectSettings } from "./connect.ts";
import type { auditSettings, healthListenSetting } from "./policy.ts";
import type { relaySettings } from "./relay.ts";
import type { Values } from "./setting.ts";

/** Values of settings that name a file, or may; a command has some of them. */
export type NamingValues = Partial<
  & Values<typeof commonSettings & typeof logFileSettings & typeof authSettings>
  & Values<typeof auditSettings>
  & Values<{ caFile: typeof caFileSetting; healthListen: typeof healthListenSetting }>
  & Pick<Values<typeof relaySettings>, "relaySecret">
  & Pick<Values<typeof connectSettings>, "targetCa">
>;

/** Paths that are read, and those that are written, made or replaced. */
export function namedFiles(values: NamingValues): { read: string[]; write: string[] } {
  const secrets = [values.token, values.clientSecret, values.relaySecret];
  const read = [
    values.caFile,
    values.targetCa,
    ...secrets.map((secret) => secret?.startsWith("@") ? secret.slice(1) : undefined),
  ];
  const write = [
    ...logFiles(values),
    ...numbered(values.auditFile, values.auditKeep),
    /^unix:(.+)$/.exec(values.healthListen ?? "")?.[1],
  ];
  return { read: read.filter(isThere), write: write.filter(isThere) };
}

/** The log file, and those that were it. */
export function logFiles({ logFile, logFileCount }: NamingValues): string[] {
  return numbered(logFile, logFileCount);
}

function numbered(path: string | undefined, count = 0): string[] {
  if (path === undefined) return [];
  return [path, ...Array.from({ length: count }, (_, i) => `${path}.${i + 1}`)];
}

function isThere(path: string | undefined): path is string {
  return path !== undefined;
}
