/**
 * What we offer and accept in a key exchange. Only what OpenSSH ships by default today: no SHA-1, no
 * CBC, no group1, no compression; and no ecdh-sha2-nistp521, which Deno's createECDH lacks. Within
 * that, the order is by measured speed on Deno: its ChaCha20 is three to six times as fast as its AES
 * (protocol.md, "Facts about the parts").
 */

/** Lists in order of preference, in SSH's own names. */
export interface Algorithms {
  kex: string[];
  serverHostKey: string[];
  cipher: string[];
  mac: string[];
}

/** The lists of both our gateway and our relay. */
export const ALGORITHMS: Algorithms = {
  kex: [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    // The real gateway offers group14, 16 and 18 only.
    "diffie-hellman-group14-sha256",
  ],
  serverHostKey: [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
  ],
  cipher: [
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
  ],
  mac: [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
  ],
};

/** What was agreed on in a key exchange (RFC 4253 §7.1); `cs` is client to server, `sc` back. */
export interface Negotiated {
  kex: string;
  serverHostKey: string;
  cs: { cipher: string; mac: string };
  sc: { cipher: string; mac: string };
}

/**
 * Ciphers under which packets can be cut out of the beginning of a session unless both sides exchange
 * keys strictly (Terrapin, CVE-2023-48795), and MACs that make it possible with the other ciphers. With
 * GCM, or with a MAC over the plain text, a missing packet is noticed at the next one.
 */
function needsStrictness(algorithm: string): boolean {
  return algorithm === "chacha20-poly1305@openssh.com" || algorithm.endsWith("-etm@openssh.com");
}

/** What of `algorithms` is safe with a peer that does not exchange keys strictly. */
export function withoutStrictness(algorithms: Algorithms): Algorithms {
  const safe = (name: string) => !needsStrictness(name);
  return {
    ...algorithms,
    cipher: algorithms.cipher.filter(safe),
    mac: algorithms.mac.filter(safe),
  };
}

/** The algorithms among the negotiated ones that must not be used without strictness. */
export function unsafeWithoutStrictness({ cs, sc }: Negotiated): string[] {
  return [...new Set([cs.cipher, sc.cipher, cs.mac, sc.mac].filter(needsStrictness))];
}

/**
 * What among the negotiated algorithms is allowed for the real gateway's sake, whose list is old
 * (protocol.md, "SSH"): a key exchange in a finite field, a MAC over the plain text, and the lack of
 * strictness. Undefined if nothing is.
 */
export function whatIsOld({ kex, cs, sc }: Negotiated, strict: boolean): string | undefined {
  const macs = [cs.mac, sc.mac].filter((mac) => mac !== "" && !mac.endsWith("-etm@openssh.com"));
  const old = [
    ...(kex.startsWith("diffie-hellman-") ? [kex] : []),
    ...new Set(macs),
    ...(strict ? [] : ["no strict key exchange"]),
  ];
  return old.length > 0 ? old.join(", ") : undefined;
}
