/** Registrations as a platform would answer them, made here without one. */
import "reflect-metadata";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { issueSshCertificate } from "../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../src/certificates/ssh_key.ts";
import type { GatewayRegistration, RelayRegistration } from "../src/enroll/api.ts";

const HOUR = 60 * 60 * 1000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };

export interface FixtureOptions {
  gatewayId?: string;
  relayHost?: string;
  notBefore?: Date;
  notAfter?: Date;
}

async function leaf(notBefore: Date, notAfter: Date) {
  const keys = await crypto.subtle.generateKey(
    { ...ALGORITHM, hash: "SHA-256" },
    true,
    ["sign", "verify"],
  ) as CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=fixture",
    notBefore,
    notAfter,
    keys,
    signingAlgorithm: { ...ALGORITHM, hash: "SHA-256" },
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: certificate.toString("pem"),
    key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
  };
}

function ssh(certType: "user" | "host", principals: string[], validAfter: Date, validBefore: Date) {
  const subject = generateKeyPairSync("ed25519");
  const authority = generateKeyPairSync("ed25519");
  const certificate = issueSshCertificate({
    certType,
    publicKey: subject.publicKey,
    authorityKey: authority.privateKey,
    keyId: certType === "user" ? "client-r1" : "relay-server",
    principals,
    validAfter,
    validBefore,
  });
  return {
    certificate: formatAuthorizedKey(certificate.blob),
    key: formatPrivateKey(subject.privateKey as KeyObject),
    authority: formatAuthorizedKey(publicKeyBlob(generateKeyPairSync("ed25519").publicKey)),
  };
}

export async function gatewayRegistration(
  options: FixtureOptions = {},
): Promise<GatewayRegistration> {
  const {
    gatewayId = "gw-1",
    relayHost = "127.0.0.1",
    notBefore = new Date(Date.now() - 60_000),
    notAfter = new Date(Date.now() + 24 * HOUR),
  } = options;
  const { certificate, key } = await leaf(notBefore, notAfter);
  const user = ssh("user", [gatewayId], notBefore, notAfter);
  return {
    gatewayId,
    relayHost,
    pki: {
      serverCertificate: certificate,
      serverPrivateKey: key,
      clientCertificateChain: certificate,
    },
    ssh: {
      clientCertificate: user.certificate,
      clientPrivateKey: user.key,
      serverCAPublicKey: user.authority,
    },
  };
}

export async function relayRegistration(options: FixtureOptions = {}): Promise<RelayRegistration> {
  const { pki } = await gatewayRegistration(options);
  const from = new Date(Date.now() - 60_000);
  const host = ssh("host", ["127.0.0.1:2222"], from, new Date(Date.now() + 720 * HOUR));
  return {
    pki,
    ssh: {
      serverCertificate: host.certificate,
      serverPrivateKey: host.key,
      clientCAPublicKey: host.authority,
    },
  };
}
