/** With which settings doctor looks: those of an installed service, unless a person names others. */
import process from "node:process";
import { gatewaySettings } from "../config/gateway.ts";
import type { Setting } from "../config/setting.ts";
import { type InstalledService, installedService } from "../diagnostic/doctor/installed.ts";
import type { Host } from "../service/install.ts";
import { type Scope, serviceId, type ServiceIdentity } from "../service/description.ts";
import type { CommandContext } from "./context.ts";
import type { GivenFlags } from "./flags.ts";
import { whoAsks } from "./service_description.ts";

/** Where the service of a gateway may be; nowhere for a name that no service can have. */
export function servicesOf(name: string, context: CommandContext): ServiceIdentity[] {
  // All managers of one system keep their manifests in one place.
  const managers = { darwin: "launchd", win32: "windows" } as const;
  const manager = managers[process.platform as keyof typeof managers] ?? "systemd";
  const scopes: Scope[] = manager === "windows" ? ["system"] : ["system", "user"];
  try {
    const id = serviceId("gateway", name);
    return scopes.map((scope) => ({ id, manager, scope, ...whoAsks(context) }));
  } catch {
    return [];
  }
}

/** Flags and environment as the gateway has them. */
export interface Given {
  flags: GivenFlags;
  env: CommandContext["env"];
  /** The service whose settings they are. */
  service?: InstalledService;
}

/**
 * The settings of the service, where one is installed and no configuration file is named. What is given
 * as a flag stands; variables do not, because the service does not see those of this shell.
 */
export async function asTheService(
  services: readonly ServiceIdentity[],
  host: Host,
  given: Given,
): Promise<Given> {
  const { flags, env } = given;
  if (flags.config !== undefined || env.SALLYPORT_CONFIG) return given;
  // A damaged manifest is the finding of the check that looks at the service.
  const service = await installedService({ services, host }).catch(() => undefined);
  if (!service) return given;
  const { places, secrets: { token, "client-secret": clientSecret } } = service;
  const { logLevel: _level, logFormat: _format, ...settings } = gatewaySettings;
  const hidden = new Set(Object.values(settings).flatMap(({ env = [] }: Setting) => env));
  return {
    service,
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !hidden.has(name))),
    flags: {
      ...flags,
      config: places.config,
      stateDir: flags.stateDir ?? places.state,
      token: flags.token ?? atPath(token),
      clientSecret: flags.clientSecret ?? atPath(clientSecret),
    },
  };
}

function atPath(path: string | undefined): string | undefined {
  return path === undefined ? undefined : `@${path}`;
}
