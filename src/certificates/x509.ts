/**
 * Reading what we need from an X.509 certificate (RFC 5280): subject, serial, validity and the
 * platform's own extensions. Verification is TLS's business; this only reads DER that TLS has already
 * accepted, or that the platform sent. A small reader of our own, because node's X509Certificate does
 * not show foreign extensions and @peculiar/x509 would cost the gateway's start a quarter of its time.
 */
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { SallyportError } from "../errors.ts";

/** Extensions of the Infisical platform (protocol.md, "X.509"); their values are bare JSON. */
export const OID = {
  /** {"targetHost", "targetPort"} */
  target: "1.3.6.1.4.1.12345.100.1",
  /** {"type": "platform" | "user", …} */
  actor: "1.3.6.1.4.1.12345.100.2",
  /** {"name"} of the gateway, in platform → relay certificates */
  gateway: "1.3.6.1.4.1.12345.100.3",
} as const;

const OBJECT_NAMES: Record<string, keyof X509Subject> = {
  "2.5.4.3": "commonName",
  "2.5.4.10": "organization",
  "2.5.4.11": "organizationalUnit",
};

/** The subject's parts that the platform uses. */
export interface X509Subject {
  commonName?: string;
  organization?: string;
  organizationalUnit?: string;
}

/** What is read from a certificate. */
export interface X509Facts {
  subject: X509Subject;
  /** Lower-case hex. */
  serial: string;
  notBefore: Date;
  notAfter: Date;
  /** Extension values by dotted OID, without the surrounding OCTET STRING. */
  extensions: Map<string, Buffer>;
}

const TAG = {
  integer: 0x02,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  extensions: 0xa3,
  version: 0xa0,
} as const;

interface Element {
  tag: number;
  body: Buffer;
}

function malformed(what: string): SallyportError {
  return new SallyportError("certificate-malformed", `X.509 certificate: ${what}`);
}

/** Splits DER into its elements; definite lengths only, as DER has (X.690 §10.1). */
function elements(der: Buffer): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at < der.length) {
    const tag = der[at++]!;
    let length = der[at++];
    if (length === undefined) throw malformed("an element is cut short");
    if (length & 0x80) {
      const count = length & 0x7f;
      if (count === 0 || count > 4 || at + count > der.length) throw malformed("bad length");
      length = der.readUIntBE(at, count);
      at += count;
    }
    if (length > der.length - at) throw malformed("an element is cut short");
    found.push({ tag, body: der.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function dotted(oid: Buffer): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of oid) {
    value = value * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (numbers.length === 0) {
      const first = Math.min(Math.floor(value / 40), 2);
      numbers.push(first, value - first * 40);
    } else {
      numbers.push(value);
    }
    value = 0;
  }
  return numbers.join(".");
}

function time({ tag, body }: Element): Date {
  const text = body.toString("latin1");
  const digits = tag === TAG.utcTime
    // RFC 5280 §4.1.2.5.1: two-digit years from 50 on are of the last century.
    ? `${Number(text.slice(0, 2)) >= 50 ? "19" : "20"}${text}`
    : text;
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (!m) throw malformed("unreadable date");
  const [year, month, day, hour, minute, second] = m.slice(1).map(Number) as [
    ...[number, number, number, number, number, number],
  ];
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

function subject(name: Buffer): X509Subject {
  const parts: X509Subject = {};
  for (const set of elements(name)) {
    for (const attribute of elements(set.body)) {
      const [type, value] = elements(attribute.body);
      const field = type?.tag === TAG.oid ? OBJECT_NAMES[dotted(type.body)] : undefined;
      if (field && value) parts[field] = value.body.toString("utf8");
    }
  }
  return parts;
}

function extensions(list: Element | undefined): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  const sequence = list && elements(list.body)[0];
  for (const extension of sequence ? elements(sequence.body) : []) {
    const parts = elements(extension.body);
    const id = parts[0];
    const value = parts.at(-1);
    if (id?.tag !== TAG.oid || !value) throw malformed("unreadable extension");
    found.set(dotted(id.body), value.body);
  }
  return found;
}

/** Reads a DER certificate. Throws `certificate-malformed`. */
export function readX509(der: Uint8Array): X509Facts {
  const outer = elements(Buffer.from(der.buffer, der.byteOffset, der.byteLength))[0];
  const tbs = outer && elements(outer.body)[0];
  if (!tbs) throw malformed("empty");
  const fields = elements(tbs.body);
  if (fields[0]?.tag === TAG.version) fields.shift();
  const [serial, , , validity, name] = fields;
  const dates = validity && elements(validity.body);
  if (serial?.tag !== TAG.integer || !dates?.[0] || !dates[1] || !name) {
    throw malformed("it lacks a field that every certificate has");
  }
  return {
    subject: subject(name.body),
    serial: serial.body.toString("hex").replace(/^(00)+(?=..)/, ""),
    notBefore: time(dates[0]),
    notAfter: time(dates[1]),
    extensions: extensions(fields.find((field) => field.tag === TAG.extensions)),
  };
}

/** Splits a PEM bundle into single certificates, each with its BEGIN and END line. */
export function splitPem(bundle: string): string[] {
  // Base64 has no "-": so the search never looks at a byte twice.
  return bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

/** Reads the first certificate of a PEM text. Throws `certificate-malformed`. */
export function readX509Pem(pem: string): X509Facts {
  const [first] = splitPem(pem);
  if (!first) throw malformed("no PEM certificate where one is expected");
  try {
    return readX509(new X509Certificate(first).raw);
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    throw malformed("the PEM text does not hold a certificate");
  }
}
