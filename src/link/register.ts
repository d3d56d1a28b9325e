/** Resolve: which relay, and with which certificates. One registration with the platform. */
import type { Validity } from "../certificates/renewal.ts";
import type { Dial } from "../egress/dial.ts";
import type { GatewayRegistration, PlatformApi } from "../enroll/api.ts";
import { validityOf } from "../enroll/registration.ts";
import { asSallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import { parseRelayAddress, type RelayAddress } from "./relay_address.ts";
import { selectRelay } from "./select_relay.ts";

const log = logger("link");

/** The calls of the platform that registering takes. */
export type RegistrationApi = Pick<PlatformApi, "registerGateway" | "connectGateway" | "relays">;

/** Who registers, and how. */
export interface RegisterOptions {
  api: RegistrationApi;
  /** The gateway's name. */
  name: string;
  /** The gateway has its own token (v3); else it is a machine identity's (v2). */
  enrolled: boolean;
  /** The relay that the person named. */
  relayName?: string;
  /** For measuring relays. */
  dial: Dial;
  now: () => number;
}

/** What one registration leads to. */
export interface Registered {
  registration: GatewayRegistration;
  /** Undefined if the platform chose. */
  relayName?: string;
  address: RelayAddress;
  /** When all its certificates hold. */
  validity: Validity;
}

/** Which relay one registration should be for. */
export interface RelayWish {
  /** Stay with this one. */
  relayName?: string;
  /** Relays that failed just now. */
  avoid?: ReadonlySet<string>;
}

/** Registers, as often as it is called. Throws `api-*`, `credentials-refused` or `relay-none`. */
export function registrar(
  options: RegisterOptions,
): (wish: RelayWish, signal?: AbortSignal) => Promise<Registered> {
  const { api, name, enrolled } = options;
  return async (wish, signal) => {
    const relayName = options.relayName ?? wish.relayName ??
      await chooseRelay(options, wish.avoid, signal);
    const registration = enrolled
      ? await api.connectGateway(relayName === undefined ? {} : { relayName }, signal)
      // Only an enrolled gateway may leave the choice to the platform.
      : await api.registerGateway({ name, relayName: relayName! }, signal);
    const registered = {
      registration,
      relayName,
      address: parseRelayAddress(registration.relayHost),
      validity: validityOf(registration),
    };
    warnOfClock(registered.validity, options.now());
    return registered;
  };
}

/** An enrolled gateway's token may not be allowed to list relays: then the platform chooses. */
async function chooseRelay(
  { api, enrolled, dial, now }: RegisterOptions,
  avoid: ReadonlySet<string> | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const relays = await api.relays(signal);
    return (await selectRelay({ relays, dial, now: now(), avoid, signal })).name;
  } catch (error) {
    const { code, message } = asSallyportError(error);
    if (!enrolled || (code !== "credentials-refused" && code !== "api-not-found")) throw error;
    log.debug("the platform chooses the relay, as it does not list them: {message}", { message });
    return undefined;
  }
}

function warnOfClock({ notBefore, notAfter }: Validity, now: number): void {
  if (now >= notBefore.getTime() && now < notAfter.getTime()) return;
  log.warn("the new certificates hold from {from} to {to}, this host's clock says {now}", {
    from: notBefore.toISOString(),
    to: notAfter.toISOString(),
    now: new Date(now).toISOString(),
  });
}
