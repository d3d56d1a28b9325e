/**
 * SSH keys as bytes and as node KeyObjects: wire blobs (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4),
 * authorized_keys lines, private key files, and signatures with the algorithm named beside them.
 */
import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as cryptoSign,
  verify as cryptoVerify,
} from "node:crypto";
import { SallyportError } from "../errors.ts";
import { mpint, string, WireReader } from "../ssh/wire.ts";
import { formatOpensshPrivateKey, parseOpensshPrivateKey } from "./openssh_private_key.ts";

/** OpenSSH's RequiredRSASize is 1024 unless configured; 2048 is what the real platform makes. */
const SMALLEST_RSA_BITS = 2048;
/** Checking a signature with more, or with a long exponent, would keep us busy for minutes. */
const LARGEST_RSA_BITS = 16_384;
const LARGEST_RSA_EXPONENT_BITS = 64;

const CURVES = [
  { ssh: "nistp256", jwk: "P-256", length: 32, hash: "sha256" },
  { ssh: "nistp384", jwk: "P-384", length: 48, hash: "sha384" },
  { ssh: "nistp521", jwk: "P-521", length: 66, hash: "sha512" },
] as const;

/** Hash of each signature algorithm that is accepted; ssh-rsa (SHA-1) and ssh-dss are not. */
const SIGNATURE_HASH: Record<string, string | null> = {
  "ssh-ed25519": null,
  "rsa-sha2-256": "sha256",
  "rsa-sha2-512": "sha512",
  ...Object.fromEntries(CURVES.map((c) => [`ecdsa-sha2-${c.ssh}`, c.hash])),
};

function malformed(message: string, cause?: unknown): SallyportError {
  return new SallyportError("key-malformed", message, { cause });
}

function publicJwk(key: KeyObject): { [field: string]: string | undefined } {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return half.export({ format: "jwk" }) as { [field: string]: string | undefined };
}

function b64(value: string | undefined): Buffer {
  return Buffer.from(value ?? "", "base64url");
}

/** The SSH wire blob of a public key, or of a private key's public half. */
export function publicKeyBlob(key: KeyObject): Buffer {
  const jwk = publicJwk(key);
  if (jwk.kty === "RSA") {
    return Buffer.concat([string("ssh-rsa"), mpint(b64(jwk.e)), mpint(b64(jwk.n))]);
  }
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519") {
    return Buffer.concat([string("ssh-ed25519"), string(b64(jwk.x))]);
  }
  const curve = CURVES.find((c) => c.jwk === jwk.crv);
  if (jwk.kty === "EC" && curve) {
    const point = Buffer.concat([Buffer.of(4), b64(jwk.x), b64(jwk.y)]);
    return Buffer.concat([string(`ecdsa-sha2-${curve.ssh}`), string(curve.ssh), string(point)]);
  }
  throw malformed(`a key of type ${jwk.kty} ${jwk.crv ?? ""} has no place in SSH`);
}

/** The type name at the start of a key or certificate blob, for example "ssh-ed25519". */
export function blobType(blob: Uint8Array): string {
  return new WireReader(blob, "key blob").text("type");
}

/** A node key from a plain SSH public key blob. Throws `key-malformed`. */
export function publicKeyFromBlob(blob: Uint8Array): KeyObject {
  try {
    const reader = new WireReader(blob, "public key");
    const type = reader.text("type");
    const jwk = readPublicJwk(type, reader);
    reader.end();
    return createPublicKey({ format: "jwk", key: jwk });
  } catch (error) {
    if (error instanceof SallyportError) throw malformed(error.message, error);
    throw malformed("public key: the numbers in it do not make a key", error);
  }
}

function readPublicJwk(type: string, reader: WireReader): { [field: string]: string } {
  if (type === "ssh-rsa") {
    const e = unsigned(reader.bytes("exponent"));
    const n = unsigned(reader.bytes("modulus"));
    const bits = 8 * n.length - (Math.clz32(n[0]!) - 24);
    if (bits < SMALLEST_RSA_BITS) {
      throw malformed(`RSA key of ${bits} bits; at least ${SMALLEST_RSA_BITS} are needed`);
    }
    if (bits > LARGEST_RSA_BITS || e.length * 8 > LARGEST_RSA_EXPONENT_BITS) {
      throw malformed(`RSA key of ${bits} bits, exponent ${e.length * 8}: too large`);
    }
    return { kty: "RSA", e: e.toString("base64url"), n: n.toString("base64url") };
  }
  if (type === "ssh-ed25519") {
    const x = reader.bytes("point");
    if (x.length !== 32) throw malformed("Ed25519 key: the point is not 32 bytes");
    return { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") };
  }
  const curve = CURVES.find((c) => type === `ecdsa-sha2-${c.ssh}`);
  if (curve) {
    const name = reader.text("curve");
    const point = reader.bytes("point");
    if (name !== curve.ssh || point[0] !== 4 || point.length !== 1 + 2 * curve.length) {
      throw malformed(`${type} key: not an uncompressed point of ${curve.ssh}`);
    }
    const x = point.subarray(1, 1 + curve.length).toString("base64url");
    const y = point.subarray(1 + curve.length).toString("base64url");
    return { kty: "EC", crv: curve.jwk, x, y };
  }
  throw malformed(`public key type "${type}" is not supported`);
}

/** An mpint's magnitude (RFC 4251 §5); no number in SSH's keys and signatures is negative or empty. */
function unsigned(number: Buffer): Buffer {
  if (number.length === 0) throw malformed("a number in it is zero");
  if ((number[0]! & 0x80) !== 0) throw malformed("a number in it is negative");
  let start = 0;
  while (start < number.length - 1 && number[start] === 0) start++;
  return number.subarray(start);
}

/** Splits one authorized_keys line (no options) into its parts. Throws `key-malformed`. */
export function parseAuthorizedKey(line: string): { type: string; blob: Buffer; comment: string } {
  const [type = "", base64 = "", ...comment] = line.trim().split(/\s+/);
  if (!type || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw malformed('not an SSH key line: expected "<type> <base64> [comment]"');
  }
  const blob = Buffer.from(base64, "base64");
  let inner: string;
  try {
    inner = blobType(blob);
  } catch (error) {
    throw malformed(`SSH key line of type ${type}: the base64 part is not a key`, error);
  }
  if (inner !== type) {
    throw malformed(`SSH key line says ${type} but its content is ${JSON.stringify(inner)}`);
  }
  return { type, blob, comment: comment.join(" ") };
}

/** One authorized_keys line, without a line end, for a key or a certificate blob. */
export function formatAuthorizedKey(blob: Uint8Array, comment = ""): string {
  const base64 = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength).toString("base64");
  return `${blobType(blob)} ${base64}${comment && ` ${comment}`}`;
}

/** A private key from OpenSSH's own format, PKCS#1, PKCS#8 or SEC1 PEM, unencrypted. */
export function parsePrivateKey(pem: string): KeyObject {
  if (pem.includes("-----BEGIN OPENSSH PRIVATE KEY-----")) return parseOpensshPrivateKey(pem);
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw malformed("private key: not an unencrypted OpenSSH, PKCS#1, PKCS#8 or SEC1 PEM", error);
  }
}

/** PKCS#1 PEM for RSA (what the real platform sends), OpenSSH's format for the others. */
export function formatPrivateKey(key: KeyObject): string {
  if (key.asymmetricKeyType === "rsa") {
    return key.export({ type: "pkcs1", format: "pem" }) as string;
  }
  return formatOpensshPrivateKey(key, publicKeyBlob(key));
}

/** The signature algorithm that a key signs with when nothing else was agreed. */
export function defaultSignatureAlgorithm(keyType: string): string {
  return keyType === "ssh-rsa" ? "rsa-sha2-256" : keyType;
}

/** True if signatures of `algorithm` may be made by a key of `keyType` (RFC 8332 §3). */
export function signatureFits(algorithm: string, keyType: string): boolean {
  if (!(algorithm in SIGNATURE_HASH)) return false;
  return keyType === "ssh-rsa" ? algorithm.startsWith("rsa-sha2-") : algorithm === keyType;
}

/** Signs `data`; gives the signature blob: algorithm name, then the signature (RFC 4253 §6.6). */
export function signSsh(key: KeyObject, data: Uint8Array, algorithm?: string): Buffer {
  const name = algorithm ?? defaultSignatureAlgorithm(blobType(publicKeyBlob(key)));
  const hash = SIGNATURE_HASH[name];
  if (hash === undefined) throw malformed(`signature algorithm "${name}" is not supported`);
  if (!name.startsWith("ecdsa-")) {
    return Buffer.concat([string(name), string(cryptoSign(hash, data, key))]);
  }
  const raw = cryptoSign(hash, data, { key, dsaEncoding: "ieee-p1363" });
  const half = raw.length / 2;
  const pair = Buffer.concat([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))]);
  return Buffer.concat([string(name), string(pair)]);
}

/**
 * Checks a signature blob against the key in `keyBlob`. False if it does not hold or is malformed;
 * the algorithm named in it must fit the key, and be `algorithm` where one is given.
 */
export function verifySsh(
  keyBlob: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
  algorithm?: string,
): boolean {
  try {
    const reader = new WireReader(signature, "signature");
    const name = reader.text("algorithm");
    const value = reader.bytes("value");
    reader.end();
    if (algorithm !== undefined && name !== algorithm) return false;
    if (!signatureFits(name, blobType(keyBlob))) return false;
    const key = publicKeyFromBlob(keyBlob);
    const hash = SIGNATURE_HASH[name]!;
    if (!name.startsWith("ecdsa-")) return cryptoVerify(hash, data, key, value);
    return verifyEcdsa(name, key, data, value);
  } catch {
    return false;
  }
}

function verifyEcdsa(name: string, key: KeyObject, data: Uint8Array, value: Buffer): boolean {
  const curve = CURVES.find((c) => name.endsWith(c.ssh))!;
  const reader = new WireReader(value, "ECDSA signature");
  const halves = [unsigned(reader.bytes("r")), unsigned(reader.bytes("s"))];
  reader.end();
  const raw = Buffer.alloc(2 * curve.length);
  for (const [i, half] of halves.entries()) {
    if (half.length > curve.length) return false;
    raw.set(half, (i + 1) * curve.length - half.length);
  }
  return cryptoVerify(curve.hash, data, { key, dsaEncoding: "ieee-p1363" }, raw);
}
