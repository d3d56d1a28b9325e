/**
 * Certificates that a platform would never issue, each with one thing wrong, and a few that only look
 * odd. What is wrong cannot be made with the program's own code or ssh-keygen, so it is put together here.
 */
import { Buffer } from "node:buffer";
import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as cryptoSign,
} from "node:crypto";
import { publicKeyBlob, signSsh } from "../../src/certificates/ssh_key.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { mpint, string, uint32, uint64 } from "../../src/ssh/wire.ts";

export type Kind = "user" | "host";
const KINDS = { user: 1, host: 2 };
const HOUR = 3600n;
const FOREVER = 2n ** 64n - 1n;
/** Order of Ed25519's group (RFC 8032 §5.1). */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;

/** Every field of a certificate, as bytes. */
interface Fields {
  type: string;
  nonce: Uint8Array;
  /** The certified key without its type. */
  key: Uint8Array;
  serial: bigint;
  kind: number;
  keyId: Uint8Array | string;
  principals: Uint8Array;
  validAfter: bigint;
  validBefore: bigint;
  criticalOptions: Uint8Array;
  extensions: Uint8Array;
  reserved: Uint8Array | string;
  authority: Uint8Array;
  sign(body: Buffer): Uint8Array;
  trailing: Uint8Array;
}

/** Whose certificate is made, by which keys. */
export interface Craft {
  kind: Kind;
  /** What the certificate should be for. */
  principal: string;
  keyId: string;
  key: KeyObject;
  authority: KeyObject;
}

/** A certificate, the key that it certifies, and the authority that the other side trusts. */
export interface Crafted {
  blob: Buffer;
  key: KeyObject;
  trusted: KeyObject;
}

const strings = (...values: (string | Uint8Array)[]) => Buffer.concat(values.map(string));
const now = () => BigInt(Math.floor(Date.now() / 1000));
const withoutType = (blob: Buffer) => blob.subarray(4 + blob.readUInt32BE());
const typeOf = (blob: Buffer) => blob.toString("latin1", 4, 4 + blob.readUInt32BE());

/** A good certificate but for the fields that are given. */
export function craft(c: Craft, over: Partial<Fields> = {}): Crafted {
  const plain = publicKeyBlob(c.key);
  const fields: Fields = {
    type: `${typeOf(plain)}-cert-v01@openssh.com`,
    nonce: randomBytes(32),
    key: withoutType(plain),
    serial: 1n,
    kind: KINDS[c.kind],
    keyId: c.keyId,
    principals: strings(c.principal),
    validAfter: now() - HOUR,
    validBefore: now() + HOUR,
    criticalOptions: Buffer.alloc(0),
    extensions: Buffer.alloc(0),
    reserved: "",
    authority: publicKeyBlob(createPublicKey(c.authority)),
    sign: (body) => signSsh(c.authority, body),
    trailing: Buffer.alloc(0),
    ...over,
  };
  const body = Buffer.concat([
    strings(fields.type, fields.nonce),
    fields.key,
    uint64(fields.serial),
    uint32(fields.kind),
    strings(fields.keyId, fields.principals),
    uint64(fields.validAfter),
    uint64(fields.validBefore),
    strings(fields.criticalOptions, fields.extensions, fields.reserved, fields.authority),
  ]);
  return {
    blob: Buffer.concat([body, string(fields.sign(body)), fields.trailing]),
    key: c.key,
    trusted: c.authority,
  };
}

/** One attempt. */
export interface Attempt {
  /** As the end of "somebody shows a certificate …". */
  what: string;
  make(c: Craft): Crafted;
  /** What ours say to it. */
  code: ErrorCode;
  /** And why, where another rule would refuse it as well. */
  says?: RegExp;
  /** @default both */
  only?: Kind;
  /** ssh-keygen -L refuses it as well. */
  unreadable?: boolean;
  /** OpenSSH takes it where we do not: always, or as one kind of certificate. */
  openssh?: "takes it" | Kind;
}

const ed25519 = () => generateKeyPairSync("ed25519").privateKey;
const ecdsa = (namedCurve = "P-256") => generateKeyPairSync("ec", { namedCurve }).privateKey;
const rsaKeys = new Map<number, KeyObject>();
function rsa(modulusLength: number): KeyObject {
  const key = rsaKeys.get(modulusLength) ??
    generateKeyPairSync("rsa", { modulusLength }).privateKey;
  rsaKeys.set(modulusLength, key);
  return key;
}

/** A case that differs in fields alone. */
function fields(
  what: string,
  code: ErrorCode,
  over: Partial<Fields> | ((c: Craft) => Partial<Fields>),
  more: Partial<Attempt> = {},
): Attempt {
  return {
    what,
    code,
    make: (c) => craft(c, typeof over === "function" ? over(c) : over),
    ...more,
  };
}

/** A case with other keys. */
function keys(
  what: string,
  code: ErrorCode,
  change: (c: Craft) => Partial<Craft>,
  over: (c: Craft) => Partial<Fields> = () => ({}),
  more: Partial<Attempt> = {},
): Attempt {
  return {
    what,
    code,
    make: (given) => {
      const c = { ...given, ...change(given) };
      return craft(c, over(c));
    },
    ...more,
  };
}

const ecPoint = (name: string, point: Uint8Array) => strings(name, point);
const rsaFields = (e: Uint8Array, n: Uint8Array) => Buffer.concat([mpint(e), mpint(n)]);
const unreadable = { unreadable: true };

/** The S of an Ed25519 signature raised by the group's order: the same signature in other bytes. */
function malleated(signature: Buffer): Buffer {
  const copy = Buffer.from(signature);
  const at = copy.length - 32;
  const s = BigInt(`0x${Buffer.from(copy.subarray(at)).reverse().toString("hex")}`) + L;
  copy.set(Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse(), at);
  return copy;
}

function signed(name: string, hash: string, key: KeyObject) {
  return (body: Buffer) => strings(name, cryptoSign(hash, body, key));
}

export const ATTEMPTS: Attempt[] = [
  // Critical options
  fields("with a critical option that nobody knows", "certificate-option", {
    criticalOptions: strings("x@example.com", ""),
  }),
  fields("with a critical option that nobody knows, and data in it", "certificate-option", {
    criticalOptions: strings("verify-everything", string("yes")),
  }),
  fields("with a critical option that OpenSSH knows and we do not", "certificate-option", {
    criticalOptions: strings("force-command", string("/bin/true")),
  }, { openssh: "user" }),
  fields("with one critical option twice", "certificate-malformed", {
    criticalOptions: strings("x@example.com", "", "x@example.com", ""),
  }),
  fields("with critical options out of order", "certificate-malformed", {
    criticalOptions: strings("y@example.com", "", "x@example.com", ""),
  }),
  fields("with extensions out of order", "certificate-malformed", {
    extensions: strings("permit-pty", "", "permit-agent-forwarding", ""),
  }, { openssh: "takes it" }),
  fields("with one extension twice", "certificate-malformed", {
    extensions: strings("permit-pty", "", "permit-pty", ""),
  }, { openssh: "takes it" }),
  fields("with half an option", "certificate-malformed", {
    criticalOptions: strings("x@example.com"),
  }, unreadable),
  fields("with a NUL in the name of an extension", "certificate-malformed", {
    extensions: strings("permit-pty\0x", ""),
  }, { openssh: "host" }),

  // Principals
  fields("for nobody", "certificate-principal", { principals: Buffer.alloc(0) }, {
    openssh: "host",
  }),
  fields("for somebody else", "certificate-principal", { principals: strings("somebody") }),
  fields("for *", "certificate-principal", { principals: strings("*") }, { openssh: "host" }),
  fields("for our name in capitals", "certificate-principal", (c) => ({
    principals: strings(`${c.principal}A`.toUpperCase()),
  })),
  fields("for our name and a space", "certificate-principal", (c) => ({
    principals: strings(`${c.principal} `),
  })),
  fields("for our name, a NUL and more", "certificate-malformed", (c) => ({
    principals: strings(`${c.principal}\0.example`),
  }), unreadable),
  fields("for our name and a NUL", "certificate-malformed", (c) => ({
    principals: strings(`${c.principal}\0`),
  }), { openssh: "takes it" }),
  fields("for our name, and one that is not UTF-8", "certificate-malformed", (c) => ({
    principals: strings(c.principal, Buffer.of(0xff, 0xfe)),
  }), { openssh: "takes it" }),
  fields("for our name, and one of no characters", "certificate-malformed", (c) => ({
    principals: strings(c.principal, ""),
  }), { openssh: "takes it" }),
  fields("for 257 principals", "certificate-malformed", (c) => ({
    principals: strings(...Array.from({ length: 257 }, () => c.principal)),
  }), unreadable),
  fields("with a list of principals that is cut short", "certificate-malformed", (c) => ({
    principals: strings(c.principal).subarray(0, -1),
  }), unreadable),
  fields("with a byte too many in its list of principals", "certificate-malformed", (c) => ({
    principals: Buffer.concat([strings(c.principal), Buffer.of(0)]),
  }), unreadable),
  fields("with a NUL in its key id", "certificate-malformed", (c) => ({
    keyId: `${c.keyId}\0x`,
  }), unreadable),

  // Time
  fields("that is valid for no time", "certificate-validity", () => ({
    validAfter: now(),
    validBefore: now(),
  }), { says: /never valid/ }),
  fields("that ends before it begins", "certificate-validity", () => ({
    validAfter: now() + HOUR,
    validBefore: now() - HOUR,
  }), { says: /never valid/ }),
  fields("that begins in an hour", "certificate-validity", () => ({ validAfter: now() + HOUR })),
  fields("that ended a second ago", "certificate-validity", () => ({ validBefore: now() - 1n })),
  fields("that was valid at the beginning of time alone", "certificate-validity", {
    validAfter: 0n,
    validBefore: 0n,
  }),
  fields("that begins at the end of time", "certificate-validity", {
    validAfter: FOREVER,
    validBefore: FOREVER,
  }),

  // Type
  fields("of the other type", "certificate-type", (c) => ({
    kind: c.kind === "user" ? KINDS.host : KINDS.user,
  })),
  fields("of type 0", "certificate-malformed", { kind: 0 }, unreadable),
  fields("of type 3", "certificate-malformed", { kind: 3 }, unreadable),
  fields("whose outer name is that of another key type", "certificate-malformed", {
    type: "ecdsa-sha2-nistp256-cert-v01@openssh.com",
  }, { unreadable: true, only: "user" }),
  fields("of a version that is no more", "ssh-authentication", {
    type: "ssh-rsa-cert-v00@openssh.com",
  }, { unreadable: true, only: "user" }),
  fields("of a DSA key", "certificate-malformed", {
    type: "ssh-dss-cert-v01@openssh.com",
    key: Buffer.concat([128, 20, 128, 128].map((n) => mpint(Buffer.alloc(n, 0x55)))),
  }, { only: "user" }),
  keys(
    "whose blob is named after a signature algorithm",
    "certificate-malformed",
    () => ({ key: rsa(2048) }),
    () => ({ type: "rsa-sha2-256-cert-v01@openssh.com" }),
    { only: "user", openssh: "takes it" },
  ),

  // Authority
  keys("of an authority that is not ours", "certificate-authority", () => ({}), () => ({}), {
    make: (c) => ({ ...craft({ ...c, authority: ed25519() }), trusted: c.authority }),
  }),
  keys("that it has signed itself", "certificate-authority", () => ({}), () => ({}), {
    make: (c) => ({ ...craft({ ...c, authority: c.key }), trusted: c.authority }),
  }),
  fields("that names our authority and is signed by another", "certificate-signature", {
    sign: (body) => signSsh(ed25519(), body),
  }, unreadable),
  fields(
    "that nobody has signed",
    "certificate-signature",
    { sign: () => Buffer.alloc(0) },
    unreadable,
  ),
  fields("with the signature of another certificate", "certificate-signature", (c) => ({
    sign: (body) => signSsh(c.authority, Buffer.concat([body, body])),
  }), unreadable),
  fields("whose authority is itself a certificate", "certificate-malformed", (c) => ({
    authority: craft({ ...c, key: c.authority }).blob,
  }), { unreadable: true, says: /no chains/ }),
  fields("whose authority has a byte too many", "certificate-malformed", (c) => ({
    authority: Buffer.concat([publicKeyBlob(c.authority), Buffer.of(0)]),
  }), unreadable),
  fields("with a byte too many at the end", "certificate-malformed", { trailing: Buffer.of(0) }, {
    unreadable: true,
  }),
  fields("with a second certificate behind it", "certificate-malformed", (c) => ({
    trailing: craft(c).blob,
  }), unreadable),

  // Signature
  fields("with a byte too many in its signature", "certificate-signature", (c) => ({
    sign: (body) => Buffer.concat([signSsh(c.authority, body), Buffer.of(0)]),
  }), unreadable),
  fields("whose signature is given another form (S + L)", "certificate-signature", (c) => ({
    sign: (body) => malleated(signSsh(c.authority, body)),
  }), { openssh: "takes it" }),
  fields(
    "whose signature is by an algorithm of another key type",
    "certificate-signature",
    (c) => ({
      sign: (body) => strings("rsa-sha2-256", signSsh(c.authority, body).subarray(-64)),
    }),
    unreadable,
  ),
  keys(
    "that an RSA authority has signed with SHA-1",
    "certificate-signature",
    () => ({ authority: rsa(2048) }),
    (c) => ({ sign: signed("ssh-rsa", "sha1", c.authority) }),
  ),
  keys(
    "that is signed with SHA-1 and says SHA-256",
    "certificate-signature",
    () => ({ authority: rsa(2048) }),
    (c) => ({ sign: signed("rsa-sha2-256", "sha1", c.authority) }),
    unreadable,
  ),
  keys(
    "that is signed with SHA-256 and says SHA-512",
    "certificate-signature",
    () => ({ authority: rsa(2048) }),
    (c) => ({ sign: signed("rsa-sha2-512", "sha256", c.authority) }),
    unreadable,
  ),
  keys(
    "whose ECDSA signature is of zeros",
    "certificate-signature",
    () => ({ authority: ecdsa() }),
    () => ({ sign: () => strings("ecdsa-sha2-nistp256", strings("", "")) }),
    unreadable,
  ),
  keys(
    "whose ECDSA signature has negative numbers",
    "certificate-signature",
    () => ({ authority: ecdsa() }),
    () => ({
      sign: () =>
        strings("ecdsa-sha2-nistp256", strings(Buffer.alloc(32, 0xff), Buffer.alloc(32, 0xff))),
    }),
    unreadable,
  ),

  // Keys
  keys(
    "of an authority with 1024 bits of RSA",
    "certificate-malformed",
    () => ({ authority: rsa(1024) }),
    undefined,
    { openssh: "takes it" },
  ),
  keys(
    "of a key with 1024 bits of RSA",
    "certificate-malformed",
    () => ({ key: rsa(1024) }),
    undefined,
    {
      openssh: "takes it",
    },
  ),
  keys(
    "of a key with 2040 bits of RSA",
    "certificate-malformed",
    () => ({ key: rsa(2040) }),
    undefined,
    {
      openssh: "takes it",
    },
  ),
  keys(
    "of an RSA key with exponent 1",
    "certificate-malformed",
    () => ({ key: rsa(2048) }),
    () => ({ key: rsaFields(Buffer.of(1), Buffer.alloc(256, 0xff)) }),
  ),
  keys(
    "of an RSA key with a negative modulus",
    "certificate-malformed",
    () => ({ key: rsa(2048) }),
    () => ({ key: Buffer.concat([mpint(Buffer.of(1, 0, 1)), string(Buffer.alloc(256, 0xff))]) }),
    unreadable,
  ),
  fields("of a key with 31 bytes of Ed25519", "certificate-malformed", (c) => ({
    key: string(publicKeyBlob(c.key).subarray(-31)),
  }), unreadable),
  fields("of a key with 33 bytes of Ed25519", "certificate-malformed", (c) => ({
    key: string(Buffer.concat([publicKeyBlob(c.key).subarray(-32), Buffer.of(0)])),
  }), unreadable),
  ...([
    [
      "a point that is not on its curve",
      "nistp256",
      Buffer.concat([Buffer.of(4), Buffer.alloc(64, 7)]),
    ],
    ["the point at infinity", "nistp256", Buffer.of(0)],
    ["a compressed point", "nistp256", Buffer.concat([Buffer.of(2), Buffer.alloc(32, 7)])],
    ["a point of another curve", "nistp256", publicKeyBlob(ecdsa("P-384")).subarray(-97)],
    ["another curve's name", "nistp384", publicKeyBlob(ecdsa("P-384")).subarray(-97)],
  ] as const).map(([what, curve, point]) =>
    keys(
      `of an ECDSA key that is ${what}`,
      "certificate-malformed",
      () => ({ key: ecdsa() }),
      () => ({ key: ecPoint(curve, point) }),
      unreadable,
    )
  ),
];

/** Odd, but as the specification allows: ours and OpenSSH's take them. */
export const ODD: { what: string; over: Partial<Fields> }[] = [
  { what: "that never ends", over: { validAfter: 0n, validBefore: FOREVER } },
  { what: "without a nonce", over: { nonce: Buffer.alloc(0) } },
  { what: "with a long nonce", over: { nonce: randomBytes(2000) } },
  { what: "with the largest serial number", over: { serial: FOREVER } },
  {
    what: "with an extension that nobody knows",
    over: { extensions: strings("x@example.com", "y") },
  },
  { what: "with something in the field that is reserved", over: { reserved: "later" } },
];
