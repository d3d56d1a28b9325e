/**
 * Sealing of secrets that the platform must be able to read again: AES-256-GCM under a key that lies
 * outside the database, so that a copy of the database alone opens nothing.
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { refuseOpen, storeError } from "./data_directory.ts";

const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;
/** First byte of what is sealed. */
const FORMAT = 1;

/** A new key for a key file. */
export function newSealKey(): Buffer {
  return randomBytes(KEY_LENGTH);
}

/** Reads a key file. Throws `platform-store` if it is missing, open to others or no key. */
export function readSealKey(path: string): Seal {
  let bytes: Buffer;
  try {
    const file = openSync(path, "r");
    try {
      refuseOpen(path, fstatSync(file));
      bytes = readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === "platform-store") throw error;
    const why = code === "ENOENT" ? "it is missing" : message;
    throw storeError(
      `cannot read the key file ${path}: ${why}`,
      "restore it from a copy: without it the authorities' keys in the database cannot be used",
      error,
    );
  }
  if (bytes.length !== KEY_LENGTH) {
    throw storeError(
      `the key file ${path} has ${bytes.length} bytes instead of ${KEY_LENGTH}`,
      "restore it from a copy",
    );
  }
  return new Seal(bytes);
}

/** Seals and opens. What is sealed is bound to a `place`, and opens nowhere else. */
export class Seal {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** @param place names the row that the result will stand in */
  close(plain: Uint8Array, place: string): Buffer {
    // Random nonces: a data directory seals some dozens of keys, far below the 2^32 of SP 800-38D §8.3.
    const nonce = randomBytes(NONCE_LENGTH);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(bind(place));
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), sealed]);
  }

  /** Throws `platform-store` if the key, the place or a byte is another than at sealing. */
  open(sealed: Uint8Array, place: string): Buffer {
    const bytes = Buffer.from(sealed);
    const head = 1 + NONCE_LENGTH + TAG_LENGTH;
    try {
      if (bytes.length < head || bytes[0] !== FORMAT) throw new Error("unknown format");
      const nonce = bytes.subarray(1, 1 + NONCE_LENGTH);
      const cipher = createDecipheriv("aes-256-gcm", this.#key, nonce, {
        authTagLength: TAG_LENGTH,
      });
      cipher.setAAD(bind(place));
      cipher.setAuthTag(bytes.subarray(1 + NONCE_LENGTH, head));
      return Buffer.concat([cipher.update(bytes.subarray(head)), cipher.final()]);
    } catch (error) {
      throw storeError(
        `a sealed key (${place}) cannot be opened: the key file is of another data directory, or the database was changed`,
        "put back the platform.key and platform.db that belong together",
        error,
      );
    }
  }
}

function bind(place: string): Buffer {
  return Buffer.from(`sallyport platform ${FORMAT} ${place}`);
}
