/** X.509 certificates as the Infisical platform writes them (protocol.md, "X.509"). */
import "reflect-metadata";
import { randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { type KeyType, SIGNING, signingKey, verifyingKey } from "./keys.ts";

const DAY = 24 * 60 * 60 * 1000;
/** Life of an authority. */
const AUTHORITY_LIFE = 20 * 365 * DAY;
/** How far the clock of whoever checks a certificate may be behind ours, ms. */
export const CLOCK_SKEW = 60_000;
/** RFC 5280 §4.2.1.4. */
const ANY_POLICY = "2.5.29.32.0";

/** Parts of a name, in the order in which they are written. */
export type Name = [part: "CN" | "O" | "OU", value: string][];

/** An authority that can sign. */
export interface X509Authority {
  keyType: KeyType;
  key: KeyObject;
  /** PEM */
  certificate: string;
}

interface Contents {
  subject: Name;
  /** The certified key; its public half is taken. */
  key: KeyObject;
  keyType: KeyType;
  now: Date;
  /** ms */
  life: number;
  extensions: x509.Extension[];
}

/** A certificate for an authority: a root if it has no parent. PEM. */
export function issueAuthority(
  { subject, key, keyType, now, parent }: Pick<Contents, "subject" | "key" | "keyType" | "now"> & {
    parent?: X509Authority;
  },
): Promise<string> {
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  return issue({
    subject,
    key,
    keyType,
    now,
    life: AUTHORITY_LIFE,
    extensions: [
      new x509.BasicConstraintsExtension(true, parent ? 0 : 1, true),
      new x509.KeyUsagesExtension(usage, true),
    ],
  }, parent);
}

/** What a leaf is for. */
export interface LeafRequest extends Omit<Contents, "extensions"> {
  usage: "server" | "client";
  /** DNS names and IP addresses. */
  hosts?: string[];
  /** Extensions of the platform's own: the value is the bare JSON text (protocol.md). */
  json?: Record<string, unknown>;
}

/** A leaf. PEM. */
export function issueLeaf(request: LeafRequest, authority: X509Authority): Promise<string> {
  const { usage, hosts = [], json = {} } = request;
  const flags = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment;
  const purpose = x509.ExtendedKeyUsage[usage === "server" ? "serverAuth" : "clientAuth"];
  const extensions = [
    new x509.BasicConstraintsExtension(false),
    new x509.KeyUsagesExtension(flags, true),
    new x509.ExtendedKeyUsageExtension([purpose], true),
    new x509.CertificatePolicyExtension([ANY_POLICY]),
    ...Object.entries(json).map(([oid, value]) =>
      new x509.Extension(oid, false, new TextEncoder().encode(JSON.stringify(value)))
    ),
  ];
  if (hosts.length > 0) {
    const names = hosts.map((value) => ({
      type: isIP(value) ? "ip" as const : "dns" as const,
      value,
    }));
    extensions.push(new x509.SubjectAlternativeNameExtension(names));
  }
  return issue({ ...request, extensions }, authority);
}

async function issue(contents: Contents, authority?: X509Authority): Promise<string> {
  const { key, keyType, now, life, extensions } = contents;
  const subject = toName(contents.subject);
  const publicKey = await verifyingKey(key, keyType);
  const issuer = authority && new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject,
    issuer: issuer?.subjectName ?? subject,
    notBefore: new Date(now.getTime() - CLOCK_SKEW),
    notAfter: new Date(now.getTime() + life),
    publicKey,
    signingKey: await signingKey(authority?.key ?? key, authority?.keyType ?? keyType),
    signingAlgorithm: SIGNING[authority?.keyType ?? keyType],
    extensions: [
      ...extensions,
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.publicKey ?? publicKey),
    ],
  });
  return certificate.toString("pem");
}

/** As objects, because the library reads a bare string that begins with "#" as hexadecimal. */
function toName(name: Name): x509.Name {
  return new x509.Name(name.map(([part, value]) => ({ [part]: [{ utf8String: value }] })));
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets; the top bits keep its length and sign fixed. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString("hex");
}
