/** Secrets that the platform gives out and keeps only as hashes. */
import type { Buffer } from "node:buffer";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 256 bits. */
const SECRET_LENGTH = 32;

/** A new secret. */
export function newSecret(): string {
  return randomBytes(SECRET_LENGTH).toString("base64url");
}

/** What is kept of a secret. A plain hash does, because no secret is of a person's choosing. */
export function hashSecret(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** True if `secret` is the one that was hashed; takes the same time whatever differs. */
export function sameHash(hash: unknown, secret: string): boolean {
  if (!(hash instanceof Uint8Array)) return false;
  const given = hashSecret(secret);
  return hash.length === given.length && timingSafeEqual(hash, given);
}
