/**
 * Administration of the embedded platform: it works on the data directory itself, also while
 * `sallyport platform start` runs on it in another process, which sees every change at once.
 */
import type { RelayType } from "../enroll/api.ts";
import { checked, host as hostSchema, name as nameSchema, port as portSchema } from "./names.ts";
import { findGateway, type Gateway, listGateways, prepareGateway } from "./gateways.ts";
import {
  createIdentity,
  findIdentity,
  type Identity,
  listIdentities,
  type Role,
  ROLES,
  rotateSecret,
} from "./identities.ts";
import type { KeyType } from "./keys.ts";
import { createOrganisation, findOrganisation, listOrganisations } from "./organisations.ts";
import { Refusal } from "./refusal.ts";
import { listRelays, placeRelay, prepareRelay, type Relay, relayByName } from "./relays.ts";
import {
  demandUnrevoked,
  freeName,
  revokeGateway,
  revokeIdentity,
  revokeRelay,
} from "./revocation.ts";
import { Store } from "./store.ts";
import { createToken, endTokens } from "./tokens.ts";

export { initPlatform } from "./init.ts";
export type { Role } from "./identities.ts";
export type { KeyType } from "./keys.ts";

/** Life of an enrolment token, ms. */
const ENROLMENT_LIFE = 60 * 60 * 1000;

/** A gateway as it is shown: organisation and relay by their names. */
export type GatewayView = Omit<Gateway, "identity">;

/** An identity as it is shown: its organisation by name. */
export type IdentityView = ReturnType<PlatformAdmin["identities"]>[number];

/** What an enrolment token of a relay is for. */
export interface RelayTokenRequest {
  /** The relay's name; it is made if there is none of that name. */
  relay: string;
  /** Address that gateways and clients reach it at; without one the relay says it itself. */
  host?: string;
  /** @default 2222 */
  sshPort?: number;
  /** @default 8443 */
  tlsPort?: number;
  /** @default "org" */
  type?: RelayType;
  /** Name or id. @default the only one */
  organisation?: string;
  /** ms @default 1 hour */
  ttl?: number;
}

/**
 * An open data directory, to be closed in the end. Every method throws `platform-request` for what the
 * person got wrong, and `platform-store` if the directory cannot be used.
 */
export class PlatformAdmin {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Opens a data directory. Throws `platform-store`.
   * @param now @default the host's clock
   */
  static open(dataDir: string, now?: () => Date): PlatformAdmin {
    return new PlatformAdmin(Store.open(dataDir, now));
  }

  /** Makes an organisation with authorities of its own. */
  async createOrganisation(
    { name, keyType = "ecdsa" }: { name: string; keyType?: KeyType },
  ): Promise<{ id: string; name: string }> {
    checked(nameSchema, name, "organisation");
    const { id } = await createOrganisation(this.#store, { name, keyType });
    return { id, name };
  }

  /** Makes a machine identity. The secret is shown this once. */
  createIdentity(
    { name, roles, organisation }: { name: string; roles: Role[]; organisation?: string },
  ): { id: string; clientId: string; clientSecret: string } {
    checked(nameSchema, name, "identity");
    if (roles.length === 0 || !roles.every((role) => ROLES.includes(role))) {
      throw new Refusal(422, `an identity needs roles, of: ${ROLES.join(", ")}`);
    }
    const { id } = findOrganisation(this.#store, organisation);
    return createIdentity(this.#store, { name, roles, organisation: id });
  }

  /**
   * A bearer token for an identity, for those who do not log in with universal auth.
   * @param request ttl in ms; without it the token does not expire. With `grace` (ms) the identity's
   *   other tokens end after that time
   */
  createIdentityToken(
    { identity, ttl, organisation, grace }: {
      identity: string;
      ttl?: number;
      organisation?: string;
      grace?: number;
    },
  ): { token: string; expires?: Date } {
    const of = organisation === undefined ? undefined : findOrganisation(this.#store, organisation);
    const found = findIdentity(this.#store, identity, of?.id);
    const { id } = found;
    demandUnrevoked("identity", found);
    if (ttl !== undefined) checkTtl(ttl);
    return this.#store.transaction(() => {
      if (grace !== undefined) endTokens(this.#store, id, grace);
      return createToken(this.#store, { kind: "identity", identity: id, life: ttl });
    });
  }

  /** Another client secret for an identity; the one before holds no more. Shown this once. */
  rotateIdentity(
    { identity, organisation }: { identity: string; organisation?: string },
  ): { clientId: string; clientSecret: string } {
    const found = this.#identity(identity, organisation);
    demandUnrevoked("identity", found);
    return { clientId: found.clientId, clientSecret: rotateSecret(this.#store, found.id) };
  }

  /** Cuts an identity off, and the gateways and relays that it registered. Gives the names of these. */
  revokeIdentity(
    { identity, organisation }: { identity: string; organisation?: string },
  ): { gateways: string[]; relays: string[] } {
    const { id } = this.#identity(identity, organisation);
    const { gateways, relays } = revokeIdentity(this.#store, id);
    return {
      gateways: gateways.map(({ name }) => name),
      relays: relays.map(({ name }) => name),
    };
  }

  /** Cuts a gateway off. Gives false if it was already. */
  revokeGateway({ gateway, organisation }: { gateway: string; organisation?: string }): boolean {
    return revokeGateway(this.#store, this.#gateway(gateway, organisation).id);
  }

  /** Lets a new gateway come under the name of a revoked one, which stays cut off itself. */
  readmitGateway({ gateway, organisation }: { gateway: string; organisation?: string }): void {
    const found = this.#gateway(gateway, organisation);
    if (found.revokedAt === null) throw new Refusal(409, `the gateway "${gateway}" is not revoked`);
    freeName(this.#store, "gateway", found);
  }

  /** Cuts a relay off. Gives false if it was already. */
  revokeRelay(request: { relay: string; organisation?: string }): boolean {
    return revokeRelay(this.#store, this.#relay(request).id);
  }

  /** Lets a new relay come under the name of a revoked one, which stays cut off itself. */
  readmitRelay(request: { relay: string; organisation?: string }): void {
    const found = this.#relay(request);
    if (found.revokedAt === null) {
      throw new Refusal(409, `the relay "${request.relay}" is not revoked`);
    }
    freeName(this.#store, "relay", found);
  }

  /**
   * A one-time token with which a gateway enrols; the gateway is made if there is none of that name.
   * @param request ttl in ms, 1 hour by default
   */
  createGatewayToken(
    { gateway: name, ttl = ENROLMENT_LIFE, organisation }: {
      gateway: string;
      ttl?: number;
      organisation?: string;
    },
  ): { token: string; expires: Date } {
    checked(nameSchema, name, "gateway");
    checkTtl(ttl);
    const { id } = findOrganisation(this.#store, organisation);
    return this.#store.transaction(() => {
      const prepared = prepareGateway(this.#store, id, name);
      demandUnrevoked("gateway", prepared);
      const gateway = prepared.id;
      return withExpiry(
        createToken(this.#store, { kind: "gateway-enrolment", gateway, life: ttl }),
      );
    });
  }

  /** A one-time token with which a relay enrols. */
  createRelayToken(request: RelayTokenRequest): { token: string; expires: Date } {
    const { relay: name, host, sshPort, tlsPort, type = "org", ttl = ENROLMENT_LIFE } = request;
    checked(nameSchema, name, "relay");
    if (host !== undefined) checked(hostSchema, host, "host");
    if (sshPort !== undefined) checked(portSchema, sshPort, "SSH port");
    if (tlsPort !== undefined) checked(portSchema, tlsPort, "TLS port");
    if (host === undefined && (sshPort ?? tlsPort) !== undefined) {
      throw new Refusal(422, "ports of a relay are given with its host");
    }
    checkTtl(ttl);
    const owner = type === "org" ? findOrganisation(this.#store, request.organisation).id : null;
    return this.#store.transaction(() => {
      const prepared = prepareRelay(this.#store, owner, name);
      demandUnrevoked("relay", prepared);
      const relay = prepared.id;
      if (host !== undefined) placeRelay(this.#store, relay, { host, sshPort, tlsPort });
      return withExpiry(createToken(this.#store, { kind: "relay-enrolment", relay, life: ttl }));
    });
  }

  /** All organisations. */
  organisations(): { id: string; name: string; keyType: KeyType }[] {
    return listOrganisations(this.#store);
  }

  /** All identities of all organisations. */
  identities() {
    const names = this.#organisationNames();
    return listIdentities(this.#store).map((identity) => ({
      ...identity,
      organisation: names.get(identity.organisation)!,
    }));
  }

  /** All gateways of all organisations; organisation and relay are names. */
  gateways(): GatewayView[] {
    const names = this.#organisationNames();
    const relays = new Map(listRelays(this.#store).map(({ id, name }) => [id, name]));
    return listGateways(this.#store).map(({ identity: _, ...gateway }) => ({
      ...gateway,
      organisation: names.get(gateway.organisation)!,
      relay: gateway.relay && (relays.get(gateway.relay) ?? null),
    }));
  }

  /** All relays; the organisation is a name, null for instance relays. */
  relays(): Omit<Relay, "identity">[] {
    const names = this.#organisationNames();
    return listRelays(this.#store).map(({ identity: _, ...relay }) => ({
      ...relay,
      organisation: relay.organisation && (names.get(relay.organisation) ?? null),
    }));
  }

  close(): void {
    this.#store.close();
  }

  #identity(nameOrId: string, organisation: string | undefined): Identity {
    const of = organisation === undefined ? undefined : findOrganisation(this.#store, organisation);
    return findIdentity(this.#store, nameOrId, of?.id);
  }

  #gateway(nameOrId: string, organisation: string | undefined): Gateway {
    return findGateway(this.#store, findOrganisation(this.#store, organisation).id, nameOrId);
  }

  #relay({ relay, organisation }: { relay: string; organisation?: string }): Relay {
    return relayByName(this.#store, findOrganisation(this.#store, organisation).id, relay);
  }

  #organisationNames(): Map<string, string> {
    return new Map(listOrganisations(this.#store).map(({ id, name }) => [id, name]));
  }
}

function checkTtl(ttl: number): void {
  if (Number.isSafeInteger(ttl) && ttl > 0) return;
  throw new Refusal(422, "a token's life must be a positive whole number of milliseconds");
}

function withExpiry({ token, expires }: { token: string; expires?: Date }) {
  return { token, expires: expires! };
}
