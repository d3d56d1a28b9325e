/** What installing a service writes and runs, worked out before anything is touched. Pure. */
import { type Places, placesOf, type Service, type ServiceIdentity } from "./description.ts";
import {
  pathsOf,
  type PlannedFile,
  type PlannedFolder,
  secretPath,
  type ServiceCommands,
} from "./manager.ts";
import { managers } from "./table.ts";

/** Everything that installing does. */
export interface ServicePlan {
  identity: ServiceIdentity;
  places: Places;
  files: PlannedFile[];
  folders: PlannedFolder[];
  commands: ServiceCommands;
}

/** The plan for a service. */
export function planService(service: Service): ServicePlan {
  const manager = managers[service.manager];
  const places = placesOf(service);
  const named = manager.namesSecrets?.(service) ?? true;
  const secrets = secretFiles(service, places);
  return {
    identity: identityOf(service),
    places,
    files: [
      configFile(service, places, named),
      ...(service.authorities === undefined ? [] : [{
        path: authoritiesPath(service, places),
        mode: 0o644,
        text: service.authorities,
      }]),
      ...(named || service.credentials === "load" ? secrets : []),
      ...manager.files(service, places),
    ],
    folders: manager.makesState ? [] : [{ path: places.state, mode: 0o700, owner: service.runAs }],
    commands: manager.commands(service, places),
  };
}

function authoritiesPath({ id, manager }: ServiceIdentity, { folder }: Places): string {
  return pathsOf(manager).join(folder, `${id}.ca.pem`);
}

function identityOf({ id, manager, scope, runAs, uid, home }: ServiceIdentity): ServiceIdentity {
  return { id, manager, scope, runAs, uid, home };
}

function configFile(service: Service, places: Places, named: boolean): PlannedFile {
  const settings = {
    ...service.settings,
    ...(service.role === "relay" || managers[service.manager].makesState
      ? {}
      : { "state-dir": places.state }),
    ...(service.authorities === undefined ? {} : { "ca-file": authoritiesPath(service, places) }),
    ...(named
      ? Object.fromEntries(
        Object.keys(service.secrets).map((key) => [key, `@${secretPath(service, places, key)}`]),
      )
      : {}),
  };
  // The service's account must read it, and no secret is in it.
  return { path: places.config, mode: 0o644, text: `${JSON.stringify(settings, null, 2)}\n` };
}

function secretFiles(service: Service, places: Places): PlannedFile[] {
  return Object.entries(service.secrets).map(([key, text]) => ({
    path: secretPath(service, places, key),
    mode: 0o600,
    text: `${text}\n`,
    owner: service.runAs,
    secret: true,
  }));
}
