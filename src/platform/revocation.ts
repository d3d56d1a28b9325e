/**
 * Who has been cut off before their certificates end. Rows stay where they are: what belonged to them
 * can then be told from what never was, and relays can be told whom to drop.
 */
import { type Gateway, gatewayById } from "./gateways.ts";
import type { Identity } from "./identities.ts";
import { Refusal } from "./refusal.ts";
import { type Relay, relayById } from "./relays.ts";
import type { Store } from "./store.ts";

/** Certificates live a day at most: nobody older than this could still come with one, ms. */
const LISTED_FOR = 31 * 24 * 60 * 60 * 1000;

/** Ids of those who were cut off. */
export interface RevocationList {
  gateways: string[];
  identities: string[];
}

/** Cuts a gateway off. Gives false if it was already. */
export function revokeGateway(store: Store, id: string): boolean {
  const now = store.now().getTime();
  const set = "UPDATE gateway SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
  return store.run(set, now, id) === 1;
}

/** Cuts a relay off: it gets no certificates, and no gateway is sent to it. Gives false if it was already. */
export function revokeRelay(store: Store, id: string): boolean {
  const now = store.now().getTime();
  return store.run(
    "UPDATE relay SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
    now,
    id,
  ) === 1;
}

/** Cuts an identity off, and the gateways and relays that it registered. Gives these. */
export function revokeIdentity(
  store: Store,
  id: string,
): { gateways: Gateway[]; relays: Relay[] } {
  return store.transaction(() => {
    const now = store.now().getTime();
    store.run("UPDATE identity SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, id);
    const its = (table: "gateway" | "relay") =>
      store.all(`SELECT id FROM ${table} WHERE identity_id = ? AND revoked_at IS NULL`, id)
        .map((row) => String(row.id));
    const [gateways, relays] = [its("gateway"), its("relay")];
    for (const gateway of gateways) revokeGateway(store, gateway);
    for (const relay of relays) revokeRelay(store, relay);
    return {
      gateways: gateways.map((gateway) => gatewayById(store, gateway)!),
      relays: relays.map((relay) => relayById(store, relay)!),
    };
  });
}

/**
 * Frees the name of a revoked gateway or relay, so that a new one may come under it, with an id of its
 * own. The old one stays cut off.
 */
export function freeName(
  store: Store,
  what: "gateway" | "relay",
  { id, name }: Pick<Gateway | Relay, "id" | "name">,
): void {
  store.run(`UPDATE ${what} SET name = ? WHERE id = ?`, `${name} (revoked ${id})`, id);
}

/** Throws a {@linkcode Refusal} that the other side can tell from every other one. */
export function demandUnrevoked(
  what: "gateway" | "identity" | "relay",
  { name, revokedAt }: Pick<Gateway | Identity | Relay, "name" | "revokedAt">,
): void {
  if (revokedAt === null) return;
  const since = revokedAt.toISOString();
  throw new Refusal(403, `the ${what} "${name}" was revoked at ${since}`, { error: "Revoked" });
}

/** Whom a relay must not let through: of its organisation, or for an instance relay of all. */
export function revocationsFor(store: Store, organisation: string | null): RevocationList {
  const since = store.now().getTime() - LISTED_FOR;
  const ids = (table: "gateway" | "identity") =>
    store.all(
      `SELECT id FROM ${table} WHERE revoked_at > ?1 AND (?2 IS NULL OR organisation_id = ?2)`,
      since,
      organisation,
    ).map((row) => String(row.id));
  return { gateways: ids("gateway"), identities: ids("identity") };
}
