/**
 * What gateways and relays get from the platform when they register. Everything is parsed and matched
 * here, once, so that a broken answer is named as such and not met later as a strange TLS error.
 * Messages name the field, never its content.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import * as z from "zod";
import { parseSshCertificate, type SshCertificate } from "../certificates/ssh.ts";
import {
  parseAuthorizedKey,
  parsePrivateKey,
  publicKeyBlob,
  publicKeyFromBlob,
} from "../certificates/ssh_key.ts";
import { readX509Pem, splitPem } from "../certificates/x509.ts";
import type { Validity } from "../certificates/renewal.ts";

/** X.509 part of a registration, PEM. */
const pki = z.object({
  /** The leaf that is presented. */
  serverCertificate: x509Leaf(),
  serverPrivateKey: field("not an unencrypted private key in PEM", readTlsKey),
  /** The authority of the clients that are accepted, then its root. */
  clientCertificateChain: field("not a chain of PEM certificates", readChain),
}).superRefine(({ serverCertificate, serverPrivateKey }, context) => {
  if (!x509KeyFits(serverCertificate, serverPrivateKey)) {
    mismatch(context, "serverPrivateKey", "serverCertificate");
  }
});

const gatewaySsh = z.object({
  clientCertificate: sshCertificate("user"),
  clientPrivateKey: sshPrivateKey(),
  serverCAPublicKey: sshPublicKey(),
}).superRefine(({ clientCertificate, clientPrivateKey }, context) => {
  if (!sshKeyFits(clientCertificate, clientPrivateKey)) {
    mismatch(context, "clientPrivateKey", "clientCertificate");
  }
});

const relaySsh = z.object({
  serverCertificate: sshCertificate("host"),
  serverPrivateKey: sshPrivateKey(),
  clientCAPublicKey: sshPublicKey(),
}).superRefine(({ serverCertificate, serverPrivateKey }, context) => {
  if (!sshKeyFits(serverCertificate, serverPrivateKey)) {
    mismatch(context, "serverPrivateKey", "serverCertificate");
  }
});

/** Answer to a gateway's registration (v2) or connect (v3). */
export const gatewayRegistration = z.object({
  gatewayId: z.string().min(1).max(256),
  /** A host name or address; may carry `:port`. */
  relayHost: z.string().min(1).max(512),
  pki,
  ssh: gatewaySsh,
});

/** Answer to a relay's registration. */
export const relayRegistration = z.object({ pki, ssh: relaySsh });

/** A gateway's certificates and keys, PEM and authorized_keys lines, and where to take them. */
export type GatewayRegistration = z.infer<typeof gatewayRegistration>;

/** A relay's certificates and keys. */
export type RelayRegistration = z.infer<typeof relayRegistration>;

/** When a registration's certificates hold: the span in which all of them do. */
export function validityOf(registration: GatewayRegistration | RelayRegistration): Validity {
  const { notBefore, notAfter } = readX509Pem(registration.pki.serverCertificate);
  const line = "clientCertificate" in registration.ssh
    ? registration.ssh.clientCertificate
    : registration.ssh.serverCertificate;
  const ssh = readSshCertificate(line);
  return {
    notBefore: new Date(Math.max(notBefore.getTime(), sshTime(ssh.validAfter))),
    notAfter: new Date(Math.min(notAfter.getTime(), sshTime(ssh.validBefore))),
  };
}

/** SSH's "forever" is 2^64 - 1 seconds, past what a Date can hold. */
function sshTime(seconds: bigint): number {
  const LAST = 8.64e15;
  return Math.min(Number(seconds) * 1000, LAST);
}

/** A text field that `read` must be able to read. */
function field(complaint: string, read: (text: string) => unknown) {
  return z.string().refine((text) => {
    try {
      read(text);
      return true;
    } catch {
      return false;
    }
  }, complaint);
}

function x509Leaf() {
  return field("not a PEM certificate", readX509Pem);
}

function readChain(text: string): void {
  const chain = splitPem(text);
  if (chain.length === 0) throw new Error("empty");
  chain.forEach(readX509Pem);
}

function sshCertificate(type: SshCertificate["certType"]) {
  return field(`not an SSH ${type} certificate`, (line) => {
    if (readSshCertificate(line).certType !== type) throw new Error("wrong type");
  });
}

function sshPrivateKey() {
  return field("not an unencrypted SSH private key", parsePrivateKey);
}

function sshPublicKey() {
  return field(
    "not an SSH public key line",
    (line) => publicKeyFromBlob(parseAuthorizedKey(line).blob),
  );
}

function readSshCertificate(line: string): SshCertificate {
  return parseSshCertificate(parseAuthorizedKey(line).blob);
}

function readTlsKey(text: string): KeyObject {
  return createPrivateKey(text);
}

function x509KeyFits(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(readTlsKey(key));
  } catch {
    // Unreadable ones have been complained about already.
    return true;
  }
}

function sshKeyFits(certificate: string, key: string): boolean {
  try {
    return publicKeyBlob(parsePrivateKey(key)).equals(readSshCertificate(certificate).publicKey);
  } catch {
    return true;
  }
}

function mismatch(
  context: { addIssue(issue: { code: "custom"; path: string[]; message: string }): void },
  key: string,
  certificate: string,
): void {
  context.addIssue({ code: "custom", path: [key], message: `does not belong to ${certificate}` });
}
