/** A relay's SSH side over a real socket, with authorities and registrations of its own. */
import { Buffer } from "node:buffer";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { issueSshCertificate } from "../../src/certificates/ssh.ts";
import {
  formatAuthorizedKey,
  formatPrivateKey,
  publicKeyBlob,
} from "../../src/certificates/ssh_key.ts";
import type { GatewayRegistration } from "../../src/enroll/api.ts";
import { validityOf } from "../../src/enroll/registration.ts";
import type { Registered } from "../../src/link/register.ts";
import { parseRelayAddress } from "../../src/link/relay_address.ts";
import { acceptSsh, type GatewaySession } from "../../src/ssh/server.ts";
import { gatewayRegistration } from "../registration_fixture.ts";

const HOUR = 60 * 60 * 1000;
const HOST = "127.0.0.1";

export interface SmallRelayOptions {
  /** Principal of the host certificate. @default the relay's `host:port` */
  principal?: string;
  /** Takes each session that is authenticated. */
  onSession?(session: GatewaySession): void;
  /** Takes the raw connection instead of SSH. */
  onSocket?(socket: Socket): void;
}

export class SmallRelay {
  readonly address: string;
  readonly sessions: GatewaySession[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #hostAuthority = generateKeyPairSync("ed25519");
  readonly #userAuthority = generateKeyPairSync("ed25519");

  static async start(options: SmallRelayOptions = {}): Promise<SmallRelay> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    server.listen(0, HOST);
    await once(server, "listening");
    return new SmallRelay(server, options);
  }

  private constructor(server: Server, { principal, onSession, onSocket }: SmallRelayOptions) {
    this.#server = server;
    this.address = `${HOST}:${(server.address() as AddressInfo).port}`;
    const key = generateKeyPairSync("ed25519");
    const certificate = issueSshCertificate({
      certType: "host",
      publicKey: key.publicKey,
      authorityKey: this.#hostAuthority.privateKey,
      keyId: "relay-server",
      principals: [principal ?? this.address],
      ...validity(),
    });
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      if (onSocket) return onSocket(socket);
      acceptSsh({
        socket,
        host: { certificate: certificate.blob, privateKey: key.privateKey },
        userAuthority: Buffer.from(publicKeyBlob(this.#userAuthority.publicKey)),
        keyId: "client-r1",
      }).then((session) => {
        this.sessions.push(session);
        onSession?.(session);
      }, () => {});
    });
  }

  /** What the platform would answer to a gateway of this relay. */
  async registration({ gatewayId = "gw-1", keyId = "client-r1" } = {}): Promise<
    GatewayRegistration
  > {
    const base = await gatewayRegistration({ gatewayId, relayHost: this.address });
    const key = generateKeyPairSync("ed25519");
    const certificate = issueSshCertificate({
      certType: "user",
      publicKey: key.publicKey,
      authorityKey: this.#userAuthority.privateKey,
      keyId,
      principals: [gatewayId],
      ...validity(),
    });
    return {
      ...base,
      ssh: {
        clientCertificate: formatAuthorizedKey(certificate.blob),
        clientPrivateKey: formatPrivateKey(key.privateKey),
        serverCAPublicKey: formatAuthorizedKey(publicKeyBlob(this.#hostAuthority.publicKey)),
      },
    };
  }

  /** The same, as the link keeps it. */
  async registered(options: { gatewayId?: string; keyId?: string } = {}): Promise<Registered> {
    const registration = await this.registration(options);
    return {
      registration,
      relayName: "r1",
      address: parseRelayAddress(registration.relayHost),
      validity: validityOf(registration),
    };
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Ends every connection without a word, as a relay that dies. */
  kill(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}

function validity(): { validAfter: Date; validBefore: Date } {
  const now = Date.now();
  return { validAfter: new Date(now - HOUR), validBefore: new Date(now + 24 * HOUR) };
}
