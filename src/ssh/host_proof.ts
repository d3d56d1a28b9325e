/** Key exchange with a relay up to the proof of its host certificate; nobody logs in. */
import { Buffer } from "node:buffer";
import { parseSshCertificate, type SshCertificate } from "../certificates/ssh.ts";
import { parseAuthorizedKey } from "../certificates/ssh_key.ts";
import { SallyportError } from "../errors.ts";
import { type ConnectSshOptions, verifyHost } from "./client.ts";
import { DISCONNECT } from "./message.ts";
import { Session } from "./session.ts";

/** Whom to look at, and which proof is demanded: as in {@linkcode ConnectSshOptions}. */
export type HostProofOptions = Pick<
  ConnectSshOptions,
  "socket" | "hostAuthority" | "hostPrincipals" | "signal" | "now" | "algorithms"
>;

/** What the relay has proved. */
export interface HostProof {
  certificate: SshCertificate;
  /** Name of the key exchange. */
  kex: string;
}

/**
 * Exchanges keys and verifies the host certificate exactly as a login would, then says goodbye. Rejects
 * with `host-key-raw`, `certificate-*`, `ssh-closed`, `ssh-protocol` or the signal's reason.
 */
export function proveHost(options: HostProofOptions): Promise<HostProof> {
  const { socket, signal } = options;
  const authority = parseAuthorizedKey(options.hostAuthority).blob;
  return new Promise((resolve, reject) => {
    let certificate: SshCertificate | undefined;
    const session = new Session({
      role: "client",
      socket,
      algorithms: options.algorithms,
      verifyHostKey: (blob) => {
        verifyHost(blob, authority, options);
        certificate = parseSshCertificate(Buffer.from(blob));
      },
    });
    const abort = () => {
      const reason = signal?.reason;
      session.fail(
        reason instanceof SallyportError
          ? reason
          : new SallyportError("aborted", "the key exchange was given up", { cause: reason }),
        DISCONNECT.byApplication,
      );
    };
    signal?.addEventListener("abort", abort, { once: true });
    session.closed.then((reason) => {
      signal?.removeEventListener("abort", abort);
      reject(reason ?? new SallyportError("ssh-closed", "session closed"));
    });
    session.start({
      onReady() {
        resolve({ certificate: certificate!, kex: session.negotiated!.kex });
        session.close();
      },
      onMessage() {
        throw new SallyportError("ssh-protocol", "a message before the login");
      },
    }).catch(reject);
    if (signal?.aborted) abort();
  });
}
