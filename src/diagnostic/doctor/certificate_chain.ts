/** One TLS handshake that looks at the certificates shown, and judges them itself. */
import { X509Certificate } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { connect, type DetailedPeerCertificate } from "node:tls";

/** What a server shows. */
export interface ShownChain {
  /** The server's own, then those above it as far as they were sent. */
  certificates: X509Certificate[];
  /** Whether the authorities that were given vouch for it, names and times included. */
  trusted: boolean;
  /** What TLS says if not. */
  complaint: string | undefined;
}

/** Shakes hands on `socket`, which is closed afterwards. Rejects with the socket's error. */
export function showChain(
  socket: Socket,
  { host, authorities, signal }: { host: string; authorities: string[]; signal: AbortSignal },
): Promise<ShownChain> {
  return new Promise((resolve, reject) => {
    const tls = connect({
      socket,
      host,
      ...(isIP(host) ? {} : { servername: host }),
      ca: authorities,
      // Nothing is sent on it: the certificates are only looked at.
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
    });
    const settle = (act: () => void) => {
      signal.removeEventListener("abort", abort);
      tls.on("error", () => {});
      tls.destroy();
      socket.destroy();
      act();
    };
    const abort = () => settle(() => reject(signal.reason));
    signal.addEventListener("abort", abort, { once: true });
    tls.once("error", (error) => settle(() => reject(error)));
    tls.once("close", () => settle(() => reject(closedEarly())));
    tls.once("secureConnect", () => {
      const certificates = chainOf(tls.getPeerCertificate(true));
      const { authorized: trusted, authorizationError } = tls;
      const complaint = trusted ? undefined : String(authorizationError ?? "not trusted");
      settle(() => resolve({ certificates, trusted, complaint }));
    });
  });
}

function closedEarly(): Error {
  return Object.assign(new Error("the connection was closed during the TLS handshake"), {
    code: "ECONNRESET",
  });
}

/** Most certificates of a chain that are read. */
const MAX_CHAIN = 10;

function chainOf(first: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  for (let next = first; next?.raw && chain.length < MAX_CHAIN; next = next.issuerCertificate) {
    const certificate = new X509Certificate(next.raw);
    if (seen.has(certificate.fingerprint256)) break;
    seen.add(certificate.fingerprint256);
    chain.push(certificate);
  }
  return chain;
}

/** A name as people write it: the common name and the organisation, of X.509's lines. */
export function shortName(lines: string): string {
  const part = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(lines)?.[1];
  const [name, organisation] = [part("CN"), part("O")];
  if (name === undefined) return organisation ?? lines.split("\n").join(", ");
  return organisation === undefined || organisation === name ? name : `${name} (${organisation})`;
}

/** Whether a certificate is for `host`. */
export function isFor(certificate: X509Certificate, host: string): boolean {
  const found = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  return found !== undefined;
}
