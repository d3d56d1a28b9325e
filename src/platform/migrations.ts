/** The database's schema, as the steps that lead to it. A step that was released never changes. */
import type { DatabaseSync } from "node:sqlite";
import { storeError } from "./data_directory.ts";

const STEPS = [
  `
  CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;

  CREATE TABLE organisation (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_type TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  -- organisation_id NULL: the instance's own.
  CREATE TABLE authority (
    id TEXT PRIMARY KEY,
    organisation_id TEXT REFERENCES organisation (id),
    purpose TEXT NOT NULL,
    parent_id TEXT REFERENCES authority (id),
    key_type TEXT NOT NULL,
    -- PEM; NULL for SSH authorities, which are bare keys.
    certificate TEXT,
    sealed_key BLOB NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX authority_purpose ON authority (ifnull(organisation_id, ''), purpose);

  CREATE TABLE identity (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    name TEXT NOT NULL,
    client_id TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (organisation_id, name)
  ) STRICT;

  CREATE TABLE identity_role (
    identity_id TEXT NOT NULL REFERENCES identity (id),
    role TEXT NOT NULL,
    PRIMARY KEY (identity_id, role)
  ) STRICT;

  -- organisation_id NULL: an instance relay. host NULL: enrolled, has not said its address yet.
  CREATE TABLE relay (
    id TEXT PRIMARY KEY,
    organisation_id TEXT REFERENCES organisation (id),
    identity_id TEXT REFERENCES identity (id),
    name TEXT NOT NULL,
    host TEXT,
    ssh_port INTEGER NOT NULL,
    tls_port INTEGER NOT NULL,
    heartbeat INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX relay_name ON relay (ifnull(organisation_id, ''), name);

  CREATE TABLE gateway (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    identity_id TEXT REFERENCES identity (id),
    relay_id TEXT REFERENCES relay (id),
    name TEXT NOT NULL,
    heartbeat INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organisation_id, name)
  ) STRICT;

  CREATE TABLE token (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    hash BLOB NOT NULL,
    identity_id TEXT REFERENCES identity (id),
    gateway_id TEXT REFERENCES gateway (id),
    relay_id TEXT REFERENCES relay (id),
    created_at INTEGER NOT NULL,
    -- NULL: for ever.
    expires_at INTEGER,
    -- NULL: cannot be renewed.
    renewable_until INTEGER,
    spent_at INTEGER
  ) STRICT;
  CREATE INDEX token_expiry ON token (expires_at);
  `,
  `
  -- NULL: not revoked.
  ALTER TABLE identity ADD COLUMN revoked_at INTEGER;
  ALTER TABLE gateway ADD COLUMN revoked_at INTEGER;
  `,
  `
  ALTER TABLE relay ADD COLUMN revoked_at INTEGER;
  `,
];

/** Brings a database to the schema of this program. Throws `platform-store` if it is a newer one's. */
export function migrate(database: DatabaseSync, now: Date): void {
  database.exec(
    "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
  );
  database.exec("BEGIN IMMEDIATE");
  try {
    const row = database.prepare("SELECT max(version) AS version FROM migration").get();
    const version = Number(row?.version ?? 0);
    if (version > STEPS.length) {
      throw storeError(
        `the platform's database has schema ${version}; this sallyport knows ${STEPS.length}`,
        "use the sallyport that made it, or a newer one",
      );
    }
    for (const [i, step] of STEPS.entries()) {
      if (i < version) continue;
      database.exec(step);
      database.prepare("INSERT INTO migration VALUES (?, ?)").run(i + 1, now.getTime());
    }
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}
