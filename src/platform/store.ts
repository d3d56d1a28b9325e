/** The SQLite database under the platform: opening it, transactions, what its failures are called. */
import { existsSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { SallyportError } from "../errors.ts";
import { dataFiles, refuseOpen, storeError } from "./data_directory.ts";
import { migrate } from "./migrations.ts";
import { readSealKey, type Seal } from "./seal.ts";

/** How long a write waits for another process's, ms. */
const BUSY_TIMEOUT = 5_000;

/** The place of the sealed text that tells whether a key file belongs to a database. */
export const KEY_CHECK = "key-check";

/** One row, as node:sqlite gives it. */
export type Row = Record<string, unknown>;

/** An open data directory: its database, the seal of its keys and the clock of its records. */
export class Store {
  readonly seal: Seal;
  readonly now: () => Date;
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync, seal: Seal, now: () => Date) {
    this.#database = database;
    this.seal = seal;
    this.now = now;
  }

  /** Opens what `initPlatform` made. Throws `platform-store`. */
  static open(directory: string, now: () => Date = () => new Date()): Store {
    const files = dataFiles(directory);
    if (!existsSync(files.database)) {
      throw storeError(
        `there is no platform in ${directory}`,
        'run "sallyport platform init", or give the right directory with --data',
      );
    }
    // SQLite gives the files beside it (WAL) its rights.
    for (const path of [directory, files.database]) refuseOpen(path);
    const seal = readSealKey(files.key);
    const database = openDatabase(files.database, now());
    try {
      const store = new Store(database, seal, now);
      const check = store.get("SELECT value FROM setting WHERE name = ?", KEY_CHECK);
      if (!(check?.value instanceof Uint8Array)) {
        throw storeError(`${files.database} is not a whole platform`, "restore it from a copy");
      }
      seal.open(check.value, KEY_CHECK);
      return store;
    } catch (error) {
      database.close();
      throw databaseError(error, files.database);
    }
  }

  /** The first row, or undefined. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#database.prepare(sql).get(...values) as Row | undefined;
  }

  /** Every row. */
  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#database.prepare(sql).all(...values) as Row[];
  }

  /** Changes rows, and gives how many. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#database.prepare(sql).run(...values).changes);
  }

  /** Runs `work` wholly or not at all, with no other writer between its steps. */
  transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }
}

function openDatabase(path: string, now: Date): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { enableForeignKeyConstraints: true });
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    const verdict = Object.values(database.prepare("PRAGMA quick_check(1)").get() ?? {})[0];
    if (verdict !== "ok") throw new Error(String(verdict));
    migrate(database, now);
    return database;
  } catch (error) {
    database?.close();
    throw databaseError(error, path);
  }
}

function databaseError(error: unknown, path: string): SallyportError {
  if (error instanceof SallyportError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return storeError(
    `the platform's database ${path} cannot be used: ${message}`,
    "restore platform.db and platform.key from a copy, or begin a new data directory",
    error,
  );
}
