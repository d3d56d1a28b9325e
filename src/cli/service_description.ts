/** From the flags of `sallyport service install` and `print` to the service that they describe. */
import { homedir } from "node:os";
import process from "node:process";
import { readAuth } from "../config/auth.ts";
import type { authSettings } from "../config/common.ts";
import type { Loaded } from "../config/load.ts";
import { roleSettings, serviceInstallSettings, servicePlanSettings } from "../config/service.ts";
import type { Settings } from "../config/setting.ts";
import { readNamedFile } from "../egress/http.ts";
import { SallyportError } from "../errors.ts";
import type { Service } from "../service/description.ts";
import type { CommandContext } from "./context.ts";
import { type GivenFlags, load } from "./flags.ts";

/** What is known of a service before its settings are read. */
export interface How {
  manager: Service["manager"];
  credentials?: Service["credentials"];
  /** Secrets and files are read; else only named. */
  real: boolean;
}

/**
 * The service that the flags describe. Throws `usage`, `config` or `file`; with `real` also for what a
 * service could not run with.
 */
export async function describe(
  name: string,
  given: GivenFlags,
  context: CommandContext,
  { manager, credentials = "load", real }: How,
): Promise<Service> {
  const parts = await import("../service/describe.ts");
  const { serviceId } = await import("../service/description.ts");
  const { managers } = await import("../service/table.ts");
  const own = load(serviceInstallSettings, ownFlags(given), context).values;
  const settings: Settings = roleSettings[own.role];
  const flags = flagsOfRole(own.role, given);
  const loaded: Loaded<Settings> = load(settings, flags, context);
  if (real) demandCredentials(loaded);
  const scope = own.user ? "user" : "system";
  if (!managers[manager].scopes.includes(scope)) {
    throw new SallyportError("usage", `${manager} runs no services of one user`, {
      hint: "leave out --user",
    });
  }
  const binary = own.binary ?? thisProgram(manager, real);
  if (real) parts.checkBinary(binary, { manager, scope });
  const texts = parts.settingTexts({ settings, loaded, flags });
  const secrets = await parts.secretTexts({ settings, loaded, flags }, { read: real });
  const caFile = loaded.values.caFile as string | undefined;
  return {
    id: serviceId(own.role, name),
    role: own.role,
    name,
    manager,
    scope,
    runAs: own.runAs,
    binary,
    settings: texts,
    secrets: Object.keys(secrets).length > 0 || real ? secrets : { token: parts.SECRET_SHOWN },
    authorities: caFile === undefined
      ? undefined
      : real
      ? await readNamedFile(caFile, "--ca-file")
      : `(a copy of ${caFile})\n`,
    credentials,
    stopTimeout: parts.stopTimeoutOf(loaded),
    lowPort: parts.needsLowPort(texts),
    ...whoAsks(context),
  };
}

/** Of the process that runs this command. */
export function whoAsks({ env }: CommandContext): { uid: number; home: string } {
  return { uid: process.getuid?.() ?? 0, home: env.HOME || homedir() };
}

function demandCredentials(loaded: Loaded<Settings>): void {
  if (loaded.values.enrollMethod !== undefined || loaded.values.relaySecret !== undefined) return;
  readAuth(loaded as unknown as Loaded<typeof authSettings & Settings>);
}

/** What is printed for another system names a place where a program of that system may lie. */
function thisProgram(manager: Service["manager"], real: boolean): string {
  const ofWindows = manager === "windows";
  const foreign = ofWindows !== (process.platform === "win32");
  if (Deno.build.standalone && (real || !foreign)) return Deno.execPath();
  if (!real) return ofWindows ? "C:\\Program Files\\sallyport.exe" : "/usr/local/bin/sallyport";
  throw new SallyportError("usage", "this is not the compiled program", {
    hint: "build it (deno task build) and run that, or name it with --binary",
  });
}

/** The flags that say how the service is installed. */
export function ownFlags(flags: GivenFlags): GivenFlags {
  const own = Object.entries(flags).filter(([name]) => name in serviceInstallSettings);
  return { ...Object.fromEntries(own), config: undefined };
}

/** The flags that say what it runs with. Throws `usage` for those of the other role. */
function flagsOfRole(role: Service["role"], flags: GivenFlags): GivenFlags {
  const ours: Settings = roleSettings[role];
  const mine: GivenFlags = { config: flags.config };
  for (const [name, text] of Object.entries(flags)) {
    if (text === undefined || name === "config") continue;
    const setting = (servicePlanSettings as Settings)[name]!;
    if (name in ours) mine[name] = text;
    else if (!(name in serviceInstallSettings)) {
      throw new SallyportError("usage", `${setting.flags[0]} is no setting of a ${role}`, {
        hint: role === "gateway" ? "a relay is installed with --role relay" : undefined,
      });
    }
  }
  if (mine.stateDir !== undefined) {
    throw new SallyportError("usage", "a service has a state directory of its own", {
      hint: "leave out --state-dir",
    });
  }
  return mine;
}
