/** The gateways of organisations. */
import { randomUUID } from "node:crypto";
import { Refusal } from "./refusal.ts";
import type { Row, Store } from "./store.ts";

/** A gateway as the platform knows it. */
export interface Gateway {
  id: string;
  organisation: string;
  /** The identity that registered it; null if it was enrolled. */
  identity: string | null;
  name: string;
  /** Id of the relay that it registered with last. */
  relay: string | null;
  heartbeat: Date | null;
  createdAt: Date;
  updatedAt: Date;
  revokedAt: Date | null;
}

/** All gateways, the oldest first. */
export function listGateways(store: Store): Gateway[] {
  return store.all("SELECT * FROM gateway ORDER BY rowid").map(readGateway);
}

/** The gateway of that id. */
export function gatewayById(store: Store, id: string): Gateway | undefined {
  const row = store.get("SELECT * FROM gateway WHERE id = ?", id);
  return row && readGateway(row);
}

/** An organisation's gateway of that name or id. Throws {@linkcode Refusal} (404). */
export function findGateway(store: Store, organisation: string, nameOrId: string): Gateway {
  const row = store.get(
    "SELECT * FROM gateway WHERE organisation_id = ? AND (id = ? OR name = ?)",
    organisation,
    nameOrId,
    nameOrId,
  );
  if (!row) throw new Refusal(404, `there is no gateway "${nameOrId}"`);
  return readGateway(row);
}

/**
 * The gateway of that name, made if it is new. One that another identity registered, or that was
 * enrolled, is refused (409), so that no identity can take another's place.
 */
export function registerGateway(
  store: Store,
  { name, organisation, identity }: { name: string; organisation: string; identity: string },
): Gateway {
  return store.transaction(() => {
    const row = byName(store, organisation, name);
    if (!row) return insertGateway(store, { name, organisation, identity });
    const gateway = readGateway(row);
    if (gateway.identity === identity) return gateway;
    throw new Refusal(409, `the gateway "${name}" belongs to another identity`);
  });
}

/** The gateway of that name, for an enrolment token; to be called in a transaction. */
export function prepareGateway(store: Store, organisation: string, name: string): Gateway {
  const row = byName(store, organisation, name);
  return row ? readGateway(row) : insertGateway(store, { name, organisation, identity: null });
}

/** From its enrolment on a gateway speaks for itself: no identity has a right to it. */
export function detachGateway(store: Store, id: string): void {
  store.run("UPDATE gateway SET identity_id = NULL WHERE id = ?", id);
}

/** Notes which relay a gateway registered with. */
export function assignRelay(store: Store, gateway: string, relay: string): void {
  const now = store.now().getTime();
  store.run(
    "UPDATE gateway SET relay_id = ?, updated_at = ? WHERE id = ?",
    relay,
    now,
    gateway,
  );
}

/** Notes a sign of life, of one gateway or of all that an identity registered. Gives how many. */
export function beatGateways(
  store: Store,
  whose: { gateway: string } | { identity: string },
): number {
  const now = store.now().getTime();
  return "gateway" in whose
    ? store.run("UPDATE gateway SET heartbeat = ? WHERE id = ?", now, whose.gateway)
    : store.run(
      "UPDATE gateway SET heartbeat = ? WHERE identity_id = ? AND revoked_at IS NULL",
      now,
      whose.identity,
    );
}

function byName(store: Store, organisation: string, name: string): Row | undefined {
  return store.get(
    "SELECT * FROM gateway WHERE organisation_id = ? AND name = ?",
    organisation,
    name,
  );
}

function insertGateway(
  store: Store,
  { name, organisation, identity }: { name: string; organisation: string; identity: string | null },
): Gateway {
  const id = randomUUID();
  const now = store.now().getTime();
  store.run(
    "INSERT INTO gateway VALUES (?, ?, ?, NULL, ?, NULL, ?, ?, NULL)",
    id,
    organisation,
    identity,
    name,
    now,
    now,
  );
  return gatewayById(store, id)!;
}

function readGateway(row: Row): Gateway {
  return {
    id: String(row.id),
    organisation: String(row.organisation_id),
    identity: row.identity_id as string | null,
    name: String(row.name),
    relay: row.relay_id as string | null,
    heartbeat: row.heartbeat === null ? null : new Date(Number(row.heartbeat)),
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
    revokedAt: row.revoked_at === null ? null : new Date(Number(row.revoked_at)),
  };
}
