/** Organisations: whose gateways, relays and identities are whose. */
import { randomUUID } from "node:crypto";
import { insertAuthorities, makeAuthorities } from "./authorities.ts";
import type { KeyType } from "./keys.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store.ts";

/** An organisation. */
export interface Organisation {
  id: string;
  name: string;
  keyType: KeyType;
}

/** Makes an organisation with all its authorities. Throws {@linkcode Refusal} if the name is taken. */
export async function createOrganisation(
  store: Store,
  { name, keyType }: { name: string; keyType: KeyType },
): Promise<Organisation> {
  const refuseTaken = () => {
    if (!store.get("SELECT 1 FROM organisation WHERE name = ?", name)) return;
    throw new Refusal(409, `there is an organisation "${name}" already`);
  };
  refuseTaken();
  const organisation = { id: randomUUID(), name, keyType };
  const authorities = await makeAuthorities(organisation.id, keyType, store.seal, store.now());
  store.transaction(() => {
    refuseTaken();
    const now = store.now().getTime();
    store.run("INSERT INTO organisation VALUES (?, ?, ?, ?)", organisation.id, name, keyType, now);
    insertAuthorities(store, authorities);
  });
  return organisation;
}

/** All organisations, the oldest first. */
export function listOrganisations(store: Store): Organisation[] {
  return store.all("SELECT id, name, key_type FROM organisation ORDER BY rowid").map((row) => ({
    id: String(row.id),
    name: String(row.name),
    keyType: row.key_type as KeyType,
  }));
}

/** The organisation of that id. */
export function organisationById(store: Store, id: string): Organisation {
  return listOrganisations(store).find((organisation) => organisation.id === id)!;
}

/**
 * The organisation of that id or name; without one, the only one. Throws {@linkcode Refusal} if there
 * is none or if it is not clear which.
 */
export function findOrganisation(store: Store, idOrName?: string): Organisation {
  const all = listOrganisations(store);
  if (idOrName === undefined) {
    if (all.length === 1) return all[0]!;
    const names = all.map(({ name }) => name).join(", ");
    throw new Refusal(400, "there are several organisations", { hint: `say which: ${names}` });
  }
  const found = all.find(({ id, name }) => id === idOrName || name === idOrName);
  if (!found) throw new Refusal(404, `there is no organisation "${idOrName}"`);
  return found;
}
