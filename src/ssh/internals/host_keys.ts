/** A host's certificate and key in the terms of ssh2, and what a client makes of the one that it is shown. */
import { Buffer } from "node:buffer";
import { type KeyObject, sign } from "node:crypto";
import { parseSshCertificate, plainType } from "../../certificates/ssh.ts";
import { blobType } from "../../certificates/ssh_key.ts";

/** The host's side of a key exchange: a certificate and the private key it certifies. */
export interface HostCredentials {
  certificate: Uint8Array;
  privateKey: KeyObject;
}

/** True if two host certificates certify the same key; the second has been verified. */
export function sameKey(before: Buffer, now: Buffer): boolean {
  return parseSshCertificate(before).publicKey.equals(parseSshCertificate(now).publicKey);
}

/**
 * The type name in the host key of a KEXDH_REPLY, if a signature of the negotiated algorithm can be
 * made by a certificate of that type; else the algorithm itself, so that ssh2 sees the mismatch.
 */
export function replyBlobType(payload: Buffer, signature: string): string {
  const expected = signature.startsWith("rsa-sha2-") ? "ssh-rsa" : signature;
  const type = tryBlobType(payload);
  return type !== undefined && plainType(type) === expected ? type : signature;
}

function tryBlobType(payload: Buffer): string | undefined {
  try {
    return blobType(payload.subarray(5));
  } catch {
    return undefined;
  }
}

/** The host key algorithms that a host with this certificate offers. */
export function certificateAlgorithms(certificate: Uint8Array): string[] {
  const type = blobType(certificate);
  return type === "ssh-rsa-cert-v01@openssh.com"
    ? ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"]
    : [type];
}

/** ssh2 looks the host key up under the (rewritten) negotiated name. */
export function hostKeyTable({ certificate, privateKey }: HostCredentials): Record<string, object> {
  const type = plainType(blobType(certificate));
  const key = {
    type,
    getPublicSSH: () => Buffer.from(certificate),
    sign: (data: Buffer, hash?: string) =>
      sign(hash ?? DEFAULT_HASH[type] ?? null, data, privateKey),
  };
  const names = certificateAlgorithms(certificate).map(plainType);
  return Object.fromEntries(names.map((name) => [name, key]));
}

const DEFAULT_HASH: Record<string, string> = {
  "ecdsa-sha2-nistp256": "sha256",
  "ecdsa-sha2-nistp384": "sha384",
  "ecdsa-sha2-nistp521": "sha512",
};
