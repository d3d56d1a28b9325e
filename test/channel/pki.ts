/** The platform's authorities and certificates, made for a test. */
import "reflect-metadata";
import { Buffer } from "node:buffer";
import * as x509 from "@peculiar/x509";
import { OID } from "../../src/certificates/x509.ts";

export const KEY_TYPES = ["rsa", "ecdsa", "ed25519"] as const;
export type KeyType = (typeof KEY_TYPES)[number];

const HOUR = 3_600_000;
const ALGORITHMS = {
  rsa: {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
  ecdsa: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ed25519: { name: "Ed25519" },
} as const;

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

export interface Identity {
  /** PEM. */
  certificate: string;
  der: Buffer;
  /** PEM, PKCS#8. */
  privateKey: string;
  subject: string;
  keys: CryptoKeyPair;
  type: KeyType;
}

export interface LeafOptions {
  notBefore?: Date;
  notAfter?: Date;
  /** @default client authentication */
  usage?: string;
  /** Raw bytes of the target extension. @default none */
  target?: string | Uint8Array;
  /** Raw bytes of the actor extension. @default none */
  actor?: string | Uint8Array;
  subject?: string;
  serial?: string;
}

let serial = 0x1000;
let rsaLeaf: Promise<CryptoKeyPair> | undefined;

function newKeys(type: KeyType, forAuthority: boolean): Promise<CryptoKeyPair> {
  const make = () =>
    crypto.subtle.generateKey(ALGORITHMS[type], true, ["sign", "verify"]) as Promise<CryptoKeyPair>;
  // RSA keys are slow to make, so leaves share one. Authorities must not: they are told apart by it.
  if (type === "rsa" && !forAuthority) return rsaLeaf ??= make();
  return make();
}

async function issue(
  type: KeyType,
  subject: string,
  issuer: Identity | undefined,
  extensions: x509.Extension[],
  { notBefore, notAfter, serial: number }: LeafOptions = {},
): Promise<Identity> {
  const keys = await newKeys(type, extensions.some((e) => e instanceof x509.KeyUsagesExtension));
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: number ?? (serial++).toString(16),
    subject,
    issuer: issuer?.subject ?? subject,
    notBefore: notBefore ?? new Date(Date.now() - HOUR),
    notAfter: notAfter ?? new Date(Date.now() + HOUR),
    signingAlgorithm: ALGORITHMS[issuer?.type ?? type],
    publicKey: keys.publicKey,
    signingKey: issuer?.keys.privateKey ?? keys.privateKey,
    extensions,
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: made.toString("pem"),
    der: Buffer.from(made.rawData),
    privateKey: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
    subject,
    keys,
    type,
  };
}

function authority(type: KeyType, subject: string, issuer?: Identity): Promise<Identity> {
  return issue(type, subject, issuer, [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(
      x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
      true,
    ),
  ]);
}

/** One organisation: root, server and client authority, and the gateway's own keys. */
export class Pki {
  private constructor(
    readonly type: KeyType,
    readonly root: Identity,
    readonly clientAuthority: Identity,
    readonly server: Identity,
  ) {}

  static async create(type: KeyType): Promise<Pki> {
    const root = await authority(type, "CN=root");
    const serverAuthority = await authority(type, "CN=server authority", root);
    const clientAuthority = await authority(type, "CN=client authority", root);
    const server = await issue(type, "O=org, CN=Gateway", serverAuthority, [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH], true),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }]),
    ]);
    return new Pki(type, root, clientAuthority, { ...server, certificate: server.certificate });
  }

  /** What a registration holds. */
  get registration() {
    return {
      serverCertificate: this.server.certificate,
      serverPrivateKey: this.server.privateKey,
      clientCertificateChain: this.clientAuthority.certificate + "\n" + this.root.certificate,
    };
  }

  client(options: LeafOptions = {}): Promise<Identity> {
    return clientLeaf(this.type, this.clientAuthority, options);
  }

  selfSigned(options: LeafOptions = {}): Promise<Identity> {
    return clientLeaf(this.type, undefined, options);
  }
}

function clientLeaf(
  type: KeyType,
  issuer: Identity | undefined,
  options: LeafOptions,
): Promise<Identity> {
  const raw = (oid: string, value: string | Uint8Array | undefined) =>
    value === undefined ? [] : [new x509.Extension(oid, false, new Uint8Array(Buffer.from(value)))];
  return issue(type, options.subject ?? "O=org, OU=gateway-client, CN=platform:gw", issuer, [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.ExtendedKeyUsageExtension([options.usage ?? CLIENT_AUTH], true),
    ...raw(OID.target, options.target),
    ...raw(OID.actor, options.actor),
  ], options);
}
