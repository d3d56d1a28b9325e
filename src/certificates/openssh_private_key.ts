/** OpenSSH's own private key file (OpenSSH, PROTOCOL.key), unencrypted: ECDSA and Ed25519, RSA read. */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import { SallyportError } from "../errors.ts";
import { mpint, string, uint32, WireReader } from "../ssh/wire.ts";

const MAGIC = "openssh-key-v1\0";
const BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END = "-----END OPENSSH PRIVATE KEY-----";
const CURVES: Record<string, string> = { nistp256: "P-256", nistp384: "P-384", nistp521: "P-521" };

function malformed(message: string, cause?: unknown): SallyportError {
  return new SallyportError("key-malformed", `OpenSSH private key: ${message}`, { cause });
}

/** The key in an OpenSSH private key file. Throws `key-malformed`; encrypted files are refused. */
export function parseOpensshPrivateKey(pem: string): KeyObject {
  const from = pem.indexOf(BEGIN);
  const to = pem.indexOf(END);
  if (from < 0 || to < from) throw malformed("the END line is missing");
  const file = Buffer.from(pem.slice(from + BEGIN.length, to), "base64");
  if (file.subarray(0, MAGIC.length).toString("latin1") !== MAGIC) throw malformed("wrong magic");
  try {
    const reader = new WireReader(file, "file", MAGIC.length);
    const cipher = reader.text("cipher");
    reader.text("kdf");
    reader.bytes("kdf options");
    if (cipher !== "none") throw malformed("it is encrypted; an unencrypted one is needed");
    if (reader.uint32("count") !== 1) throw malformed("it holds more than one key");
    reader.bytes("public key");
    return readPrivate(new WireReader(reader.bytes("private part"), "private part"));
  } catch (error) {
    if (error instanceof SallyportError && error.code === "key-malformed") throw error;
    throw malformed(error instanceof Error ? error.message : "unreadable", error);
  }
}

function readPrivate(reader: WireReader): KeyObject {
  if (reader.uint32("check") !== reader.uint32("check")) {
    throw malformed("its check numbers differ");
  }
  const type = reader.text("type");
  const b64 = (b: Buffer) => {
    let start = 0;
    while (start < b.length - 1 && b[start] === 0) start++;
    return b.subarray(start).toString("base64url");
  };
  let jwk: { [field: string]: string };
  if (type === "ssh-ed25519") {
    const x = reader.bytes("public half").toString("base64url");
    const d = reader.bytes("secret half").subarray(0, 32).toString("base64url");
    jwk = { kty: "OKP", crv: "Ed25519", x, d };
  } else if (type.startsWith("ecdsa-sha2-")) {
    const crv = CURVES[reader.text("curve")];
    const point = reader.bytes("point");
    const size = (point.length - 1) / 2;
    const secret = reader.bytes("secret");
    if (!crv || point[0] !== 4) throw malformed(`curve of ${type} is not supported`);
    const d = Buffer.alloc(size);
    const short = secret.length > size ? secret.subarray(secret.length - size) : secret;
    d.set(short, size - short.length);
    jwk = {
      kty: "EC",
      crv,
      x: point.subarray(1, 1 + size).toString("base64url"),
      y: point.subarray(1 + size).toString("base64url"),
      d: d.toString("base64url"),
    };
  } else if (type === "ssh-rsa") {
    jwk = readRsa(reader, b64);
  } else {
    throw malformed(`key type "${type}" is not supported`);
  }
  const key = createPrivateKey({ format: "jwk", key: jwk });
  // What is made of the secret half must be the public half that stands beside it.
  if (jwk.kty === "OKP" && createPublicKey(key).export({ format: "jwk" }).x !== jwk.x) {
    throw malformed("its halves do not belong together");
  }
  return key;
}

function readRsa(reader: WireReader, b64: (b: Buffer) => string): { [field: string]: string } {
  const n = b64(reader.bytes("n"));
  const e = b64(reader.bytes("e"));
  const dBytes = reader.bytes("d");
  const qi = b64(reader.bytes("iqmp"));
  const pBytes = reader.bytes("p");
  const qBytes = reader.bytes("q");
  const number = (b: Buffer) => BigInt("0x" + b.toString("hex"));
  const back = (value: bigint) => {
    const hex = value.toString(16);
    return Buffer.from(hex.padStart(hex.length + (hex.length & 1), "0"), "hex")
      .toString("base64url");
  };
  const d = number(dBytes);
  const dp = back(d % (number(pBytes) - 1n));
  const dq = back(d % (number(qBytes) - 1n));
  return { kty: "RSA", n, e, d: b64(dBytes), p: b64(pBytes), q: b64(qBytes), dp, dq, qi };
}

/** An OpenSSH private key file for an ECDSA or Ed25519 key whose public blob is `publicBlob`. */
export function formatOpensshPrivateKey(key: KeyObject, publicBlob: Buffer): string {
  const jwk = key.export({ format: "jwk" }) as { [field: string]: string | undefined };
  const d = Buffer.from(jwk.d ?? "", "base64url");
  const check = randomBytes(4);
  const secret = jwk.crv === "Ed25519"
    ? string(Buffer.concat([d, Buffer.from(jwk.x ?? "", "base64url")]))
    : mpint(d);
  const body = [check, check, publicBlob, secret, string("")];
  const length = body.reduce((sum, part) => sum + part.length, 0);
  const padding = Buffer.from(Array.from({ length: (8 - length % 8) % 8 }, (_, i) => i + 1));
  const file = Buffer.concat([
    Buffer.from(MAGIC, "latin1"),
    string("none"),
    string("none"),
    string(""),
    uint32(1),
    string(publicBlob),
    string(Buffer.concat([...body, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return [BEGIN, ...lines, END, ""].join("\n");
}
