/** Throwaway X.509 certificates for TLS in tests. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export interface Identity {
  /** PEM. */
  certificate: string;
  /** PEM, PKCS#8. */
  privateKey: string;
  name: string;
  keys: CryptoKeyPair;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
let serial = 1;

/** An authority, or with `issuer` a server certificate for `hosts`. Without both: self-signed. */
export async function certificate(
  name: string,
  { issuer, hosts, authority = false }: {
    issuer?: Identity;
    hosts?: string[];
    authority?: boolean;
  } = {},
): Promise<Identity> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: (serial++).toString(16).padStart(4, "0"),
    subject: `CN=${name}`,
    issuer: `CN=${issuer?.name ?? name}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: issuer?.keys.privateKey ?? keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(authority, undefined, true),
      ...(hosts
        ? [
          new x509.SubjectAlternativeNameExtension(
            hosts.map((value) => ({
              type: /^[\d.]+$/.test(value) ? "ip" as const : "dns" as const,
              value,
            })),
          ),
        ]
        : []),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: made.toString("pem"),
    privateKey: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
    name,
    keys,
  };
}
