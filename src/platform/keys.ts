/** Key pairs of the kinds that the platform makes, for node:crypto, Web Crypto and PEM. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";

/** Kinds of keys: RSA 2048 (as the real platform), ECDSA P-256, Ed25519. */
export type KeyType = "rsa" | "ecdsa" | "ed25519";

/** The kinds, for choosing one. */
export const KEY_TYPES: readonly KeyType[] = ["rsa", "ecdsa", "ed25519"];

/** Web Crypto's name of each kind, for signing certificates with it. */
export const SIGNING: Record<KeyType, Algorithm & { hash?: string; namedCurve?: string }> = {
  rsa: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  ecdsa: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ed25519: { name: "Ed25519" },
};

/** A new private key; its public half is in it. Made on another thread, because RSA takes long. */
export function generateKey(type: KeyType): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _: KeyObject, privateKey: KeyObject) =>
      error ? reject(error) : resolve(privateKey);
    if (type === "rsa") generateKeyPair("rsa", { modulusLength: 2048 }, done);
    else if (type === "ecdsa") generateKeyPair("ec", { namedCurve: "P-256" }, done);
    else generateKeyPair("ed25519", {}, done);
  });
}

/** PKCS#8 DER, the form in which keys are sealed. */
export function keyToBytes(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "pkcs8" });
}

/** The reverse of {@linkcode keyToBytes}. */
export function keyFromBytes(bytes: Uint8Array): KeyObject {
  return createPrivateKey({
    key: bytes as unknown as string,
    format: "der",
    type: "pkcs8",
  });
}

/** PKCS#8 PEM, the form in which TLS keys are handed out. */
export function keyToPem(key: KeyObject): string {
  return key.export({ format: "pem", type: "pkcs8" }) as string;
}

/** The private key for Web Crypto. */
export async function signingKey(key: KeyObject, type: KeyType): Promise<CryptoKey> {
  const exported = keyToBytes(key);
  const bytes = new Uint8Array(exported);
  exported.fill(0);
  try {
    return await crypto.subtle.importKey("pkcs8", bytes, SIGNING[type], false, ["sign"]);
  } finally {
    bytes.fill(0);
  }
}

/** The public half for Web Crypto. */
export function verifyingKey(key: KeyObject, type: KeyType): Promise<CryptoKey> {
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return crypto.subtle.importKey("spki", new Uint8Array(spki), SIGNING[type], true, ["verify"]);
}
