/** The gateway's service, as its manifest and its manager describe it. */
import { placesOf, type ServiceIdentity } from "../../service/description.ts";
import { manifestOf, queryService } from "../../service/install.ts";
import type { DoctorContext } from "./context.ts";

/** A service that is installed. */
export interface InstalledService {
  id: string;
  identity: ServiceIdentity;
  /** Its configuration file. */
  config: string;
  running: boolean;
  /** What the manager says. */
  text: string;
}

/** The first of the places where a service of this gateway may be installed. Throws `service`. */
export async function installedService(
  { services, host }: Pick<DoctorContext, "services" | "host">,
): Promise<InstalledService | undefined> {
  for (const asked of services) {
    const manifest = await manifestOf(asked, host);
    if (!manifest) continue;
    const identity = { ...asked, manager: manifest.manager, runAs: manifest.runAs };
    const { running, text } = await queryService(identity, host);
    return { id: identity.id, identity, config: placesOf(identity).config, running, text };
  }
  return undefined;
}
