/**
 * OpenSSH certificates (OpenSSH, PROTOCOL.certkeys): parse, verify, issue. Pure: bytes and clocks in,
 * values out. Stricter than sshpk where that is lax: an empty principal list means "nobody".
 */
import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import { SallyportError } from "../errors.ts";
import { string, uint32, uint64, WireReader } from "../ssh/wire.ts";
import { blobType, publicKeyBlob, publicKeyFromBlob, signSsh, verifySsh } from "./ssh_key.ts";

const SUFFIX = "-cert-v01@openssh.com";
const KINDS = { user: 1, host: 2 } as const;
/** Largest certificate that is looked at, bytes; OpenSSH's are under 4 KiB. */
const MAX_CERTIFICATE = 64 * 1024;
const MAX_PRINCIPALS = 256;

/** What a certificate certifies: a person or machine that logs in, or a host. */
export type SshCertificateType = keyof typeof KINDS;

/** A parsed certificate. Its authority's signature has been checked, its rights have not. */
export interface SshCertificate {
  certType: SshCertificateType;
  /** Type name of the certificate blob, for example "ssh-rsa-cert-v01@openssh.com". */
  keyType: string;
  /** Plain blob of the certified key. */
  publicKey: Buffer;
  serial: bigint;
  keyId: string;
  principals: string[];
  /** Seconds since 1970, inclusive. */
  validAfter: bigint;
  /** Seconds since 1970, exclusive. */
  validBefore: bigint;
  criticalOptions: Map<string, Buffer>;
  extensions: Map<string, Buffer>;
  /** Plain blob of the key that signed the certificate. */
  authority: Buffer;
  /** The whole certificate as it stands on the wire. */
  blob: Buffer;
}

/** True if a blob or algorithm name is a certificate's. */
export function isCertificateType(name: string): boolean {
  return name.endsWith(SUFFIX);
}

/** The plain key type under a certificate type, for example "ssh-rsa". */
export function plainType(certificateType: string): string {
  return isCertificateType(certificateType)
    ? certificateType.slice(0, -SUFFIX.length)
    : certificateType;
}

/** The signature algorithm of a certificate algorithm: "rsa-sha2-256-cert-v01@…" → "rsa-sha2-256". */
export const signatureAlgorithmOf = plainType;

function malformed(message: string, cause?: unknown): SallyportError {
  return new SallyportError("certificate-malformed", `SSH certificate: ${message}`, { cause });
}

/**
 * Reads a certificate blob and checks its authority's signature over it. Throws
 * `certificate-malformed` or `certificate-signature`; trailing bytes are an error.
 */
export function parseSshCertificate(blob: Uint8Array): SshCertificate {
  if (blob.length > MAX_CERTIFICATE) throw malformed(`longer than ${MAX_CERTIFICATE} bytes`);
  try {
    return readCertificate(Buffer.from(blob));
  } catch (error) {
    if (error instanceof SallyportError && error.code === "ssh-protocol") {
      throw malformed(error.message, error);
    }
    throw error;
  }
}

function readCertificate(blob: Buffer): SshCertificate {
  const reader = new WireReader(blob, "SSH certificate");
  const keyType = reader.text("type");
  if (!isCertificateType(keyType)) throw malformed(`it is a plain ${keyType} key`);
  reader.bytes("nonce");
  const publicKey = readCertifiedKey(plainType(keyType), reader);
  const serial = reader.uint64("serial");
  const kind = reader.uint32("certificate type");
  const certType = kind === KINDS.user ? "user" : kind === KINDS.host ? "host" : undefined;
  if (!certType) throw malformed(`unknown certificate type ${kind}`);
  const keyId = reader.name("key id");
  const principals = readPrincipals(reader.bytes("principals"));
  const validAfter = reader.uint64("valid after");
  const validBefore = reader.uint64("valid before");
  const criticalOptions = readOptions(reader.bytes("critical options"), "critical options");
  const extensions = readOptions(reader.bytes("extensions"), "extensions");
  reader.bytes("reserved");
  const authority = Buffer.from(reader.bytes("signature key"));
  const signed = blob.subarray(0, reader.position);
  const signature = reader.bytes("signature");
  reader.end();
  if (isCertificateType(blobType(authority))) {
    throw malformed("its authority is itself a certificate (PROTOCOL.certkeys: no chains)");
  }
  demandGoodKey(publicKey, "the key that it certifies");
  demandGoodKey(authority, "its authority's key");
  if (!verifySsh(authority, signed, signature)) {
    throw new SallyportError(
      "certificate-signature",
      "SSH certificate: its authority's signature does not hold, or is by an algorithm not allowed",
    );
  }
  return {
    certType,
    keyType,
    publicKey,
    serial,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    extensions,
    authority,
    blob,
  };
}

/** Throws unless a blob is a key that may be used: of a known type, long enough, a point on its curve. */
function demandGoodKey(blob: Buffer, whose: string): void {
  try {
    publicKeyFromBlob(blob);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw malformed(`${whose}: ${reason}`, error);
  }
}

/** The certified key's own fields stand in the certificate without their type name. */
function readCertifiedKey(type: string, reader: WireReader): Buffer {
  const fields = type === "ssh-rsa"
    ? ["exponent", "modulus"]
    : type === "ssh-ed25519"
    ? ["point"]
    : type.startsWith("ecdsa-sha2-nistp")
    ? ["curve", "point"]
    : undefined;
  if (!fields) throw malformed(`key type "${type}" is not supported`);
  return Buffer.concat([string(type), ...fields.map((field) => string(reader.bytes(field)))]);
}

function readPrincipals(list: Buffer): string[] {
  const reader = new WireReader(list, "SSH certificate: principals");
  const principals: string[] = [];
  while (!reader.atEnd) {
    if (principals.length === MAX_PRINCIPALS) throw malformed("too many principals");
    const principal = reader.name("principal");
    if (principal === "") throw malformed("a principal is empty");
    principals.push(principal);
  }
  return principals;
}

/** Options are name and data, ordered by name, each name once (PROTOCOL.certkeys). */
function readOptions(list: Buffer, what: string): Map<string, Buffer> {
  const reader = new WireReader(list, `SSH certificate: ${what}`);
  const options = new Map<string, Buffer>();
  let last: Buffer | undefined;
  while (!reader.atEnd) {
    const name = reader.name("name");
    const bytes = Buffer.from(name);
    if (last !== undefined && Buffer.compare(bytes, last) <= 0) {
      throw malformed(`${what} are out of order`);
    }
    options.set(name, Buffer.from(reader.bytes("data")));
    last = bytes;
  }
  return options;
}

/** What a certificate must be to be accepted. */
export interface SshCertificateDemands {
  certType: SshCertificateType;
  /** Plain blob of the only authority that is trusted. */
  authority: Uint8Array;
  /** One of these must be among the certificate's principals. */
  principals: string[];
  now: Date;
}

/**
 * Throws unless the certificate is of the demanded type, signed by the demanded authority, valid
 * now, for one of the principals, and free of critical options (none is known here, and an unknown
 * one must be refused).
 */
export function verifySshCertificate(cert: SshCertificate, demands: SshCertificateDemands): void {
  const who = `${demands.certType} certificate "${cert.keyId}"`;
  if (cert.certType !== demands.certType) {
    throw new SallyportError(
      "certificate-type",
      `SSH certificate "${cert.keyId}" is a ${cert.certType} certificate, not a ${demands.certType} one`,
    );
  }
  if (!cert.authority.equals(demands.authority)) {
    throw new SallyportError(
      "certificate-authority",
      `${who} is signed by an authority that is not the platform's`,
    );
  }
  verifyValidity(cert, who, demands.now);
  for (const option of cert.criticalOptions.keys()) {
    throw new SallyportError(
      "certificate-option",
      `${who} carries the critical option "${option}", which is not known here`,
    );
  }
  if (!demands.principals.some((name) => cert.principals.includes(name))) {
    const has = cert.principals.join(", ") || "nobody";
    throw new SallyportError(
      "certificate-principal",
      `${who} is for ${has}, not for ${demands.principals.join(" or ")}`,
    );
  }
}

function verifyValidity(cert: SshCertificate, who: string, now: Date): void {
  const seconds = BigInt(Math.floor(now.getTime() / 1000));
  const say = (from: string, at: bigint) =>
    new SallyportError("certificate-validity", `${who} ${from} ${formatSeconds(at)}`, {
      hint: `this host's clock says ${now.toISOString()}; check it, then renew the certificate`,
    });
  if (cert.validBefore <= cert.validAfter) {
    throw say("is never valid: it ends at", cert.validBefore);
  }
  if (seconds < cert.validAfter) throw say("is not valid before", cert.validAfter);
  if (seconds >= cert.validBefore) throw say("has expired at", cert.validBefore);
}

function formatSeconds(seconds: bigint): string {
  const ms = Number(seconds) * 1000;
  return ms < 8.64e15 ? new Date(ms).toISOString() : "the end of time";
}

/** What goes into a new certificate. */
export interface SshCertificateRequest {
  certType: SshCertificateType;
  /** The key that is certified (public, or private whose public half is taken). */
  publicKey: KeyObject;
  /** The authority's private key. */
  authorityKey: KeyObject;
  keyId: string;
  principals: string[];
  validAfter: Date;
  validBefore: Date;
  /** @default a random 63-bit number */
  serial?: bigint;
  /** For example `{"permit-port-forwarding": ""}`. */
  extensions?: Record<string, string>;
  criticalOptions?: Record<string, string>;
}

/** Issues a certificate; an RSA authority signs with rsa-sha2-256. */
export function issueSshCertificate(request: SshCertificateRequest): SshCertificate {
  const plain = publicKeyBlob(request.publicKey);
  const type = blobType(plain);
  const authority = publicKeyBlob(createPublicKey(request.authorityKey));
  const body = Buffer.concat([
    string(type + SUFFIX),
    string(randomBytes(32)),
    plain.subarray(4 + type.length),
    uint64(request.serial ?? randomBytes(8).readBigUInt64BE() >> 1n),
    uint32(KINDS[request.certType]),
    string(request.keyId),
    string(Buffer.concat(request.principals.map(string))),
    uint64(BigInt(Math.floor(request.validAfter.getTime() / 1000))),
    uint64(BigInt(Math.floor(request.validBefore.getTime() / 1000))),
    string(writeOptions(request.criticalOptions)),
    string(writeOptions(request.extensions)),
    string(""),
    string(authority),
  ]);
  return readCertificate(
    Buffer.concat([body, string(signSsh(request.authorityKey, body))]),
  );
}

function writeOptions(options: Record<string, string> = {}): Buffer {
  const names = Object.keys(options).sort();
  return Buffer.concat(names.flatMap((name) => {
    const value = options[name]!;
    return [string(name), string(value === "" ? "" : string(value))];
  }));
}
