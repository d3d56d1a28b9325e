/** What the checks work with: how the gateway would be run, and what earlier checks have found. */
import type { Dial } from "../../egress/dial.ts";
import type { PlatformApi, RelayEntry } from "../../enroll/api.ts";
import type { Auth } from "../../enroll/credentials.ts";
import type { SecretSource } from "../../enroll/secret.ts";
import type { Registered } from "../../link/register.ts";
import { parseRelayAddress, type RelayAddress } from "../../link/relay_address.ts";
import type { GatewayHere } from "./gateway_here.ts";
import type { ServicePlaces } from "./installed.ts";
import type { LOGINS } from "./logins.ts";

/** How the gateway would be run. */
export interface DoctorOptions extends ServicePlaces {
  /** The gateway's name. */
  name: string;
  /** As it was given; `apiBase` reads it. */
  domain: string;
  /** The way in. Throws `usage` if none was given: that is a finding of its own. */
  auth(): Auth;
  /** Authorities (PEM) beside the public ones and the system's. */
  caFile?: string;
  /** PEM. @default Mozilla's, which this program carries */
  publicAuthorities?: readonly string[];
  /** The relay that the gateway is told to use. */
  relayName?: string;
  /** Looked at in place of the address that the platform gives. */
  relayAddress?: RelayAddress;
  stateDir: string;
  healthListen: string;
  /** The configuration file that was read. */
  configFile?: string;
  /** The configuration file itself holds a secret. */
  secretInConfig?: boolean;
  /** May it log in to the relay as the gateway? */
  login: (typeof LOGINS)[number];
  /** Token of an identity that may open connections, if the gateway's own may not. */
  clientToken?: SecretSource;
  env: Record<string, string | undefined>;
  /** Time for one check, ms. */
  timeout: number;
  /** ms since 1970 @default Date.now */
  now?: () => number;
}

/** What checks leave for those after them. */
export interface Facts {
  /** The server's clock, and ours right before and after it was read, ms since 1970. */
  date?: { server: number; before: number; after: number };
  /** Calls the platform with credentials that it took. */
  api?: PlatformApi;
  relays?: RelayEntry[];
  registered?: Registered;
  /** A session of our own with the relay is open. */
  loggedIn?: boolean;
}

/** The options, the facts so far, and what is asked once for all checks. */
export interface DoctorContext extends DoctorOptions {
  now(): number;
  facts: Facts;
  /** How the API is reached. Throws `file` or `config` if --ca-file is no use. */
  fetch(): Promise<typeof fetch>;
  /** Past any proxy. */
  dialDirectly: Dial;
  /** As the gateway dials: through the proxy that the environment names, if any. */
  dial: Dial;
  /** The gateway that answers on this host, if one does. */
  gatewayHere(signal: AbortSignal): Promise<GatewayHere>;
  /** Closed when all checks are over, in reverse order. */
  owned: AsyncDisposableStack;
}

/** The relay's address, from the best source that there is. Throws `api-malformed`. */
export async function relayAddress(
  { facts, relayAddress, relayName, gatewayHere }: DoctorContext,
  signal: AbortSignal,
): Promise<RelayAddress | undefined> {
  const known = relayAddress ?? facts.registered?.address;
  if (known) return known;
  const here = await gatewayHere(signal);
  const text = (here.kind === "gateway" ? here.relay?.address : undefined) ??
    facts.relays?.find(({ name }) => name === relayName)?.host;
  return text === undefined ? undefined : parseRelayAddress(text);
}
