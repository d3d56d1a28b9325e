/** The gateway's service, as its manifest and its manager describe it. */
import { type Places, placesOf, type ServiceIdentity } from "../../service/description.ts";
import { type Host, manifestOf, queryService } from "../../service/install.ts";
import { secretPath } from "../../service/manager.ts";

/** Where the service of a gateway may be installed. */
export interface ServicePlaces {
  /** The machine's before this user's. */
  services: readonly ServiceIdentity[];
  host: Host;
}

/** A service that is installed. */
export interface InstalledService {
  identity: ServiceIdentity;
  places: Places;
  /** Files with its secrets, by their names in a configuration file. */
  secrets: Record<string, string>;
}

/** Names of a gateway's secrets in a configuration file. */
const SECRETS = ["token", "client-secret"];

/** The first service that is found. Throws `service` if what was installed cannot be read. */
export async function installedService(
  { services, host }: ServicePlaces,
): Promise<InstalledService | undefined> {
  for (const asked of services) {
    const manifest = await manifestOf(asked, host);
    if (!manifest) continue;
    const identity = { ...asked, manager: manifest.manager, runAs: manifest.runAs };
    const places = placesOf(identity);
    const secrets = SECRETS.map((key) => [key, secretPath(identity, places, key)] as const)
      .filter(([, path]) => manifest.files.includes(path));
    return { identity, places, secrets: Object.fromEntries(secrets) };
  }
  return undefined;
}

/** Whether it runs, and what its manager says. Throws `service` if that cannot be asked. */
export function askManager(
  { identity }: InstalledService,
  { host }: ServicePlaces,
): Promise<{ running: boolean; text: string }> {
  return queryService(identity, host);
}
