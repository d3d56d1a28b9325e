/** The relays of organisations and of the instance. */
import { randomUUID } from "node:crypto";
import type { RelayType } from "../enroll/api.ts";
import { Refusal } from "./refusal.ts";
import type { Row, Store } from "./store.ts";

/** Ports of a relay that names none (protocol.md). */
export const DEFAULT_SSH_PORT = 2222;
export const DEFAULT_TLS_PORT = 8443;
/** A relay counts as healthy while its last sign of life is younger (protocol.md, "Timings"), ms. */
const HEALTHY_FOR = 60 * 60 * 1000;

/** A relay as the platform knows it. */
export interface Relay {
  id: string;
  type: RelayType;
  /** null: an instance relay. */
  organisation: string | null;
  /** The identity that registered it; null if it was enrolled or is the instance's. */
  identity: string | null;
  name: string;
  /** null: enrolled, has not said where it is. */
  host: string | null;
  sshPort: number;
  tlsPort: number;
  heartbeat: Date | null;
  createdAt: Date;
  updatedAt: Date;
  revokedAt: Date | null;
}

/** Where a relay is reached. */
export interface RelayPlace {
  host: string;
  sshPort?: number;
  tlsPort?: number;
}

/** A relay that can be reached. */
export type PlacedRelay = Relay & { host: string };

/** All relays, the oldest first. */
export function listRelays(store: Store): Relay[] {
  return store.all("SELECT * FROM relay ORDER BY rowid").map(readRelay);
}

/** The relays that an organisation's gateways may use: its own first, then the instance's. */
export function relaysFor(store: Store, organisation: string): PlacedRelay[] {
  return store.all(
    `SELECT * FROM relay WHERE host IS NOT NULL AND revoked_at IS NULL
     AND (organisation_id = ? OR organisation_id IS NULL)
     ORDER BY organisation_id IS NULL, rowid`,
    organisation,
  ).map(readRelay).filter(isPlaced);
}

/** The relay of that name for an organisation's gateways. Throws {@linkcode Refusal} (404). */
export function findRelay(store: Store, organisation: string, name: string): PlacedRelay {
  const found = relaysFor(store, organisation).find((relay) => relay.name === name);
  if (!found) throw new Refusal(404, `there is no relay "${name}"`);
  return found;
}

/** A healthy relay for an organisation's gateway that names none. Throws {@linkcode Refusal} (404). */
export function anyRelay(store: Store, organisation: string): PlacedRelay {
  const since = store.now().getTime() - HEALTHY_FOR;
  const found = relaysFor(store, organisation).find(({ heartbeat }) =>
    heartbeat !== null && heartbeat.getTime() > since
  );
  if (!found) throw new Refusal(404, "there is no healthy relay");
  return found;
}

/** An organisation's relay of that name or id, or else the instance's. Throws {@linkcode Refusal} (404). */
export function relayByName(store: Store, organisation: string, nameOrId: string): Relay {
  const row = store.get(
    `SELECT * FROM relay
     WHERE (organisation_id = ?1 OR organisation_id IS NULL) AND (id = ?2 OR name = ?2)
     ORDER BY organisation_id IS NULL`,
    organisation,
    nameOrId,
  );
  if (!row) throw new Refusal(404, `there is no relay "${nameOrId}"`);
  return readRelay(row);
}

/** The relay of that id. */
export function relayById(store: Store, id: string): Relay | undefined {
  const row = store.get("SELECT * FROM relay WHERE id = ?", id);
  return row && readRelay(row);
}

/**
 * Notes a relay and where it is, new or moved. One that another identity registered is refused (409).
 * @param owner `null`s: the instance
 */
export function registerRelay(
  store: Store,
  name: string,
  place: RelayPlace,
  owner: { organisation: string | null; identity: string | null },
): PlacedRelay {
  return store.transaction(() => {
    const row = byName(store, owner.organisation, name);
    if (row && (row.identity_id !== owner.identity || isEnrolled(store, String(row.id)))) {
      throw new Refusal(409, `the relay "${name}" belongs to another identity`);
    }
    const id = row ? String(row.id) : insertRelay(store, name, owner);
    return placeRelay(store, id, place);
  });
}

/** The relay of that name, for an enrolment token; to be called in a transaction. */
export function prepareRelay(store: Store, organisation: string | null, name: string): Relay {
  const row = byName(store, organisation, name);
  const id = row ? String(row.id) : insertRelay(store, name, { organisation, identity: null });
  return relayById(store, id)!;
}

/** From its enrolment on a relay speaks for itself: no identity has a right to it. */
export function detachRelay(store: Store, id: string): void {
  store.run("UPDATE relay SET identity_id = NULL WHERE id = ?", id);
}

/** Notes where a relay is. */
export function placeRelay(store: Store, id: string, place: RelayPlace): PlacedRelay {
  const { host, sshPort = DEFAULT_SSH_PORT, tlsPort = DEFAULT_TLS_PORT } = place;
  const now = store.now().getTime();
  store.run(
    "UPDATE relay SET host = ?, ssh_port = ?, tls_port = ?, updated_at = ? WHERE id = ?",
    host,
    sshPort,
    tlsPort,
    now,
    id,
  );
  return relayById(store, id) as PlacedRelay;
}

/** Notes a sign of life. */
export function beatRelay(store: Store, id: string): void {
  store.run("UPDATE relay SET heartbeat = ? WHERE id = ?", store.now().getTime(), id);
}

/** Notes a sign of life of the relay that `owner` registered, and gives it. Throws {@linkcode Refusal} (404). */
export function beatRelayByName(
  store: Store,
  name: string,
  owner: { organisation: string | null; identity: string | null },
): Relay {
  const relay = ownRelay(store, name, owner);
  if (!relay) throw new Refusal(404, `there is no relay "${name}" of this identity`);
  beatRelay(store, relay.id);
  return relay;
}

/** The relay of that name that `owner` registered, if it did. */
export function ownRelay(
  store: Store,
  name: string,
  owner: { organisation: string | null; identity: string | null },
): Relay | undefined {
  const row = byName(store, owner.organisation, name);
  return row && row.identity_id === owner.identity ? readRelay(row) : undefined;
}

function byName(store: Store, organisation: string | null, name: string): Row | undefined {
  return store.get(
    "SELECT * FROM relay WHERE organisation_id IS ? AND name = ?",
    organisation,
    name,
  );
}

/** An instance relay with a token of its own is not the relay secret's any more. */
function isEnrolled(store: Store, id: string): boolean {
  return store.get("SELECT 1 FROM token WHERE kind = 'relay' AND relay_id = ?", id) !== undefined;
}

function insertRelay(
  store: Store,
  name: string,
  { organisation, identity }: { organisation: string | null; identity: string | null },
): string {
  const id = randomUUID();
  const now = store.now().getTime();
  store.run(
    "INSERT INTO relay VALUES (?, ?, ?, ?, NULL, ?, ?, NULL, ?, ?, NULL)",
    id,
    organisation,
    identity,
    name,
    DEFAULT_SSH_PORT,
    DEFAULT_TLS_PORT,
    now,
    now,
  );
  return id;
}

function isPlaced(relay: Relay): relay is PlacedRelay {
  return relay.host !== null;
}

function readRelay(row: Row): Relay {
  return {
    id: String(row.id),
    type: row.organisation_id === null ? "instance" : "org",
    organisation: row.organisation_id as string | null,
    identity: row.identity_id as string | null,
    name: String(row.name),
    host: row.host as string | null,
    sshPort: Number(row.ssh_port),
    tlsPort: Number(row.tls_port),
    heartbeat: row.heartbeat === null ? null : new Date(Number(row.heartbeat)),
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
    revokedAt: row.revoked_at === null ? null : new Date(Number(row.revoked_at)),
  };
}
