/**
 * Who has been cut off before their certificates end. Rows stay where they are: what belonged to them
 * can then be told from what never was, and relays can be told whom to drop.
 */
import { type Gateway, gatewayById } from "./gateways.ts";
import type { Identity } from "./identities.ts";
import { Refusal } from "./refusal.ts";
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

/** Cuts an identity off, and the gateways that it registered. Gives these. */
export function revokeIdentity(store: Store, id: string): Gateway[] {
  return store.transaction(() => {
    const now = store.now().getTime();
    store.run("UPDATE identity SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, id);
    const its = "SELECT id FROM gateway WHERE identity_id = ? AND revoked_at IS NULL";
    const ids = store.all(its, id).map((row) => String(row.id));
    for (const gateway of ids) revokeGateway(store, gateway);
    return ids.map((gateway) => gatewayById(store, gateway)!);
  });
}

/**
 * Frees the name of a revoked gateway, so that a new one may come under it, with an id of its own. The
 * old one stays cut off.
 */
export function freeName(store: Store, { id, name }: Gateway): void {
  store.run("UPDATE gateway SET name = ? WHERE id = ?", `${name} (revoked ${id})`, id);
}

/** Throws a {@linkcode Refusal} that the other side can tell from every other one. */
export function demandUnrevoked(
  what: "gateway" | "identity",
  { name, revokedAt }: Pick<Gateway | Identity, "name" | "revokedAt">,
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
