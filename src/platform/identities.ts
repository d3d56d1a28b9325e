/** Machine identities: who may call the API, and for what. */
import { randomUUID } from "node:crypto";
import { Refusal } from "./refusal.ts";
import { hashSecret, newSecret, sameHash } from "./secrets.ts";
import type { Row, Store } from "./store.ts";

/** What an identity may do: register gateways, register organisation relays, open connections. */
export type Role = "gateway" | "relay" | "client";

/** The roles, for choosing some. */
export const ROLES: readonly Role[] = ["gateway", "relay", "client"];

/** A machine identity. */
export interface Identity {
  id: string;
  organisation: string;
  name: string;
  clientId: string;
  roles: Role[];
  createdAt: Date;
  revokedAt: Date | null;
}

/** Makes an identity; its secret is not kept and shown this once. */
export function createIdentity(
  store: Store,
  { name, roles, organisation }: { name: string; roles: Role[]; organisation: string },
): { id: string; clientId: string; clientSecret: string } {
  const id = randomUUID();
  const clientId = randomUUID();
  const clientSecret = newSecret();
  store.transaction(() => {
    const taken = "SELECT 1 FROM identity WHERE organisation_id = ? AND name = ?";
    if (store.get(taken, organisation, name)) {
      throw new Refusal(409, `there is an identity "${name}" already`);
    }
    store.run(
      "INSERT INTO identity VALUES (?, ?, ?, ?, ?, ?, NULL)",
      id,
      organisation,
      name,
      clientId,
      hashSecret(clientSecret),
      store.now().getTime(),
    );
    for (const role of new Set(roles)) {
      store.run("INSERT INTO identity_role VALUES (?, ?)", id, role);
    }
  });
  return { id, clientId, clientSecret };
}

const SELECT = `
  SELECT identity.*, (SELECT group_concat(role) FROM identity_role WHERE identity_id = id) AS roles
  FROM identity`;

/** All identities, the oldest first. */
export function listIdentities(store: Store): Identity[] {
  return store.all(`${SELECT} ORDER BY rowid`).map(readIdentity);
}

/** The identity of that id. */
export function identityById(store: Store, id: string): Identity | undefined {
  const row = store.get(`${SELECT} WHERE id = ?`, id);
  return row && readIdentity(row);
}

/** The identity of that id, or of that name in the organisation. Throws {@linkcode Refusal}. */
export function findIdentity(store: Store, idOrName: string, organisation?: string): Identity {
  const found = listIdentities(store).filter((identity) =>
    (identity.id === idOrName || identity.name === idOrName) &&
    (organisation === undefined || identity.organisation === organisation)
  );
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw new Refusal(404, `there is no identity "${idOrName}"`);
  throw new Refusal(400, `several organisations have an identity "${idOrName}"`, {
    hint: "give its id",
  });
}

/** Gives an identity another secret; the one before holds no more. */
export function rotateSecret(store: Store, id: string): string {
  const clientSecret = newSecret();
  store.run("UPDATE identity SET secret_hash = ? WHERE id = ?", hashSecret(clientSecret), id);
  return clientSecret;
}

/** The identity that a client id and secret belong to, if they do. */
export function identityByLogin(
  store: Store,
  { clientId, clientSecret }: { clientId: string; clientSecret: string },
): Identity | undefined {
  const row = store.get(`${SELECT} WHERE client_id = ?`, clientId);
  if (!row || !sameHash(row.secret_hash, clientSecret)) return undefined;
  return readIdentity(row);
}

function readIdentity(row: Row): Identity {
  return {
    id: String(row.id),
    organisation: String(row.organisation_id),
    name: String(row.name),
    clientId: String(row.client_id),
    roles: row.roles === null ? [] : String(row.roles).split(",") as Role[],
    createdAt: new Date(Number(row.created_at)),
    revokedAt: row.revoked_at === null ? null : new Date(Number(row.revoked_at)),
  };
}
