/** Stand-ins for what the link's policy drives: registrations, channel servers, SSH sessions. */
import type { Duplex } from "node:stream";
import type { SallyportError } from "../../src/errors.ts";
import type { Registered } from "../../src/link/register.ts";
import type { ChannelTaker } from "../../src/link/rotation.ts";
import type { SshSession } from "../../src/ssh/client.ts";

/** A registration without real certificates: policy looks at names and times only. */
export function registered(
  relayName: string | undefined,
  notBefore: number,
  life: number,
): Registered {
  return {
    registration: {
      gatewayId: "gw-1",
      relayHost: "relay",
      pki: { serverCertificate: "", serverPrivateKey: "", clientCertificateChain: "" },
      ssh: { clientCertificate: "", clientPrivateKey: "", serverCAPublicKey: "" },
    },
    relayName,
    address: { host: relayName ?? "chosen", port: 2222 },
    validity: { notBefore: new Date(notBefore), notAfter: new Date(notBefore + life) },
  };
}

/** A channel server whose channels stay open until the test ends them. */
export class FakeChannels implements ChannelTaker {
  readonly counts = { open: 0, served: 0, failed: 0, refused: 0, bytesIn: 0, bytesOut: 0 };
  closed = false;
  readonly #idle: (() => void)[] = [];

  accept(_channel: Duplex): void {
    this.counts.open++;
  }

  /** Ends every channel. */
  finish(): void {
    this.counts.open = 0;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  drain(): Promise<void> {
    if (this.counts.open === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): Promise<void> {
    this.closed = true;
    this.finish();
    return Promise.resolve();
  }
}

/** A session that ends when the test, or its user, says so. */
export class FakeSession implements SshSession {
  readonly closed: Promise<SallyportError | undefined>;
  channels = 0;
  readonly traffic = { received: 0, sent: 0 };
  closedByUs = false;
  #resolve!: (reason: SallyportError | undefined) => void;

  constructor() {
    this.closed = new Promise((resolve) => this.#resolve = resolve);
  }

  lose(reason: SallyportError): void {
    this.#resolve(reason);
  }

  close(): void {
    this.closedByUs = true;
    this.#resolve(undefined);
  }

  ping(): Promise<number> {
    return Promise.resolve(1);
  }

  rekey(): void {}
}
