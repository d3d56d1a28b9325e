/**
 * The platform's authorities: made with an organisation (or the instance), kept sealed, read when
 * something is to be signed. Instance relays belong to no organisation, so everything that proves a
 * relay, or proves somebody to a relay, exists for the instance as well; what proves a gateway, or
 * somebody to a gateway, exists for organisations alone.
 */
import { type KeyObject, randomUUID, X509Certificate } from "node:crypto";
import { formatAuthorizedKey, publicKeyBlob } from "../certificates/ssh_key.ts";
import { storeError } from "./data_directory.ts";
import { generateKey, keyFromBytes, keyToBytes, type KeyType } from "./keys.ts";
import type { Seal } from "./seal.ts";
import type { Store } from "./store.ts";
import { issueAuthority, type Name, type X509Authority } from "./x509_issue.ts";

const RELAY_PURPOSES = {
  "relay-root": { title: "Relay Root CA" },
  "relay-server": { title: "Relay Server CA", parent: "relay-root" },
  "relay-client": { title: "Relay Client CA", parent: "relay-root" },
  "ssh-user": {},
  "ssh-host": {},
} as const;

const GATEWAY_PURPOSES = {
  "gateway-root": { title: "Gateway Root CA" },
  "gateway-server": { title: "Gateway Server CA", parent: "gateway-root" },
  "gateway-client": { title: "Gateway Client CA", parent: "gateway-root" },
} as const;

const API_PURPOSES = { api: { title: "Sallyport Platform API CA" } } as const;

const PURPOSES = {
  organisation: { ...GATEWAY_PURPOSES, ...RELAY_PURPOSES },
  instance: { ...RELAY_PURPOSES, ...API_PURPOSES },
};

/** What an authority is for. */
export type Purpose =
  | keyof typeof GATEWAY_PURPOSES
  | keyof typeof RELAY_PURPOSES
  | keyof typeof API_PURPOSES;

/** A new authority, as it is to be stored. */
export interface AuthorityRow {
  id: string;
  organisation: string | null;
  purpose: Purpose;
  parent: string | null;
  keyType: KeyType;
  certificate: string | null;
  sealedKey: Uint8Array;
}

/**
 * Makes all authorities of an organisation, or of the instance where `organisation` is null. Keys are
 * sealed in the places where {@linkcode insertAuthorities} puts them.
 */
export async function makeAuthorities(
  organisation: string | null,
  keyType: KeyType,
  seal: Seal,
  now: Date,
): Promise<AuthorityRow[]> {
  const wanted: [string, { title?: string; parent?: string }][] = Object.entries(
    PURPOSES[organisation === null ? "instance" : "organisation"],
  );
  const keys = await Promise.all(wanted.map(() => generateKey(keyType)));
  const made = new Map<string, { row: AuthorityRow; key: KeyObject }>();
  // Parents stand before their children in the tables above.
  for (const [i, [name, { title, parent }]] of wanted.entries()) {
    const purpose = name as Purpose;
    const key = keys[i]!;
    const above = parent === undefined ? undefined : made.get(parent)!;
    const subject: Name = [["O", organisation ?? "Sallyport instance"], ["CN", title ?? ""]];
    const certificate = title === undefined ? null : await issueAuthority({
      subject,
      key,
      keyType,
      now,
      parent: above && { key: above.key, keyType, certificate: above.row.certificate! },
    });
    const id = randomUUID();
    const bytes = keyToBytes(key);
    const sealedKey = seal.close(bytes, place(id, organisation, purpose));
    bytes.fill(0);
    const row = { id, organisation, purpose, parent: above?.row.id ?? null };
    made.set(purpose, { key, row: { ...row, keyType, certificate, sealedKey } });
  }
  return [...made.values()].map(({ row }) => row);
}

/** Stores new authorities; to be called in a transaction. */
export function insertAuthorities(store: Store, rows: AuthorityRow[]): void {
  for (const { id, organisation, purpose, parent, keyType, certificate, sealedKey } of rows) {
    store.run(
      "INSERT INTO authority (id, organisation_id, purpose, parent_id, key_type, certificate, sealed_key, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      organisation,
      purpose,
      parent,
      keyType,
      certificate,
      sealedKey,
      store.now().getTime(),
    );
  }
}

/** A private key moved to another row of the database opens there no more. */
function place(id: string, organisation: string | null, purpose: Purpose): string {
  return `authority ${id} ${organisation ?? "instance"} ${purpose}`;
}

/** Certificates stand in the open: one that somebody put there for another key is trusted by nobody. */
function demandOwn(certificate: string, key: KeyObject, purpose: Purpose): void {
  if (new X509Certificate(certificate).checkPrivateKey(key)) return;
  throw storeError(
    `the certificate of the authority ${purpose} is not its key's: the database was changed`,
    "restore platform.db from a copy",
  );
}

interface Authority {
  id: string;
  key: KeyObject;
  keyType: KeyType;
  certificate: string | null;
}

/** Reads authorities of a store. They never change, so that each key is opened once. */
export class Authorities {
  readonly #store: Store;
  readonly #open = new Map<string, Authority>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** An X.509 authority. */
  x509(organisation: string | null, purpose: Purpose): X509Authority {
    const { key, keyType, certificate } = this.#find(organisation, purpose);
    return { key, keyType, certificate: certificate! };
  }

  /** An authority's certificate, then its root's: how whoever is to trust it gets it. PEM. */
  chain(
    organisation: string | null,
    purpose: "gateway" | "relay",
    side: "server" | "client",
  ): string {
    const issuing = this.x509(organisation, `${purpose}-${side}`).certificate;
    const root = this.x509(organisation, `${purpose}-root`).certificate;
    return `${issuing.trim()}\n${root.trim()}\n`;
  }

  /** The key that signs SSH certificates of gateways ("ssh-user") or relays ("ssh-host"). */
  ssh(organisation: string | null, purpose: "ssh-user" | "ssh-host"): KeyObject {
    return this.#find(organisation, purpose).key;
  }

  /** The public half of such a key, as an authorized_keys line. */
  sshPublicKey(organisation: string | null, purpose: "ssh-user" | "ssh-host"): string {
    return formatAuthorizedKey(publicKeyBlob(this.ssh(organisation, purpose)));
  }

  /** Kind of the keys of an organisation, or of the instance. */
  keyType(organisation: string | null): KeyType {
    return this.#find(organisation, "ssh-user").keyType;
  }

  #find(organisation: string | null, purpose: Purpose): Authority {
    const name = `${organisation ?? ""} ${purpose}`;
    const known = this.#open.get(name);
    if (known) return known;
    const row = this.#store.get(
      "SELECT id, key_type, certificate, sealed_key FROM authority WHERE organisation_id IS ? AND purpose = ?",
      organisation,
      purpose,
    );
    if (!row) {
      throw storeError(
        `the platform's database lacks the authority ${purpose}`,
        "restore platform.db from a copy",
      );
    }
    const id = String(row.id);
    const sealed = row.sealed_key as Uint8Array;
    const bytes = this.#store.seal.open(sealed, place(id, organisation, purpose));
    const key = keyFromBytes(bytes);
    bytes.fill(0);
    const certificate = row.certificate as string | null;
    if (certificate !== null) demandOwn(certificate, key, purpose);
    const authority: Authority = { id, key, keyType: row.key_type as KeyType, certificate };
    this.#open.set(name, authority);
    return authority;
  }
}
