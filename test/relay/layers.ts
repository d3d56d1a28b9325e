/**
 * A whole system with ears wherever its relay has bytes, from which single layers of encryption can be
 * taken away: what the ears hear then shows that they would hear it.
 */
import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { ChannelServer } from "../../src/channel/server.ts";
import { dial } from "../../src/egress/dial.ts";
import type { Connection, GatewayRegistration } from "../../src/enroll/api.ts";
import type { ListenAddress } from "../../src/listen.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { type Forwarder, forwarder } from "../forwarder.ts";
import { until } from "../virtual_clock.ts";
import {
  joinPlainly,
  listenInside,
  overTls,
  plainDoor,
  plainGateway,
  plainSession,
  refusingTls,
} from "./stand_ins.ts";
import { HOST, System } from "./system.ts";

/** A layer that can be left out: client to relay, relay to gateway, client to gateway inside both. */
export type Layer = "outer TLS" | "SSH" | "inner TLS";

/** What is different from the system as it is. */
export interface Difference {
  without: readonly Layer[];
  /** A client that takes TLS 1.2 at most from the gateway. @default the real one */
  oldClient?: boolean;
  /** A gateway that has TLS 1.2 at most. @default the real one */
  oldGateway?: boolean;
}

/** Whom the system serves. */
export interface Parties {
  gateway: string;
  actor: string;
  target: ListenAddress;
}

/** Where the relay has bytes, and which have been there. */
export interface Heard {
  "the client's leg": Buffer;
  "inside the relay": Buffer;
  "the gateway's leg": Buffer;
}

const OLD = { maxVersion: "TLSv1.2" } as const;

/** The system, or what is left of it. */
export class TappedSystem implements AsyncDisposable {
  readonly #owned = new AsyncDisposableStack();
  readonly #inside = { in: [] as Buffer[], out: [] as Buffer[] };
  #gatewayLeg!: Forwarder;
  #clientLeg!: Forwarder;
  #grant!: Connection;

  private constructor(
    readonly system: System,
    readonly parties: Parties,
    readonly difference: Difference,
  ) {
    this.#owned.use(system);
  }

  static async start(parties: Parties, difference: Difference): Promise<TappedSystem> {
    const tapped = new TappedSystem(await System.start(), parties, difference);
    try {
      await tapped.#start();
      return tapped;
    } catch (error) {
      await tapped[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What the client opens its streams with. */
  get grant(): Connection {
    return this.#grant;
  }

  /** Everything so far, first what went toward the gateway, then what came back. */
  get heard(): Heard {
    const { toServer, toClient } = this.#clientLeg.tapped;
    // The gateway dials the relay, so that its way in is the relay's way out.
    const plain = this.#lacks("SSH");
    const { toServer: up, toClient: down } = this.#gatewayLeg.tapped;
    return {
      "the client's leg": concat(toServer, toClient),
      "inside the relay": concat(this.#inside.in, this.#inside.out),
      "the gateway's leg": plain ? concat(up, down) : concat(down, up),
    };
  }

  /** A stream of the client's to the target. */
  async open(alpn: string): Promise<Duplex> {
    const { without, oldClient } = this.difference;
    const grant = this.#grant;
    if (without.length === 0 && !oldClient) return await this.system.stream(grant, alpn);
    let stream: Duplex = await dial(HOST, grant.relay.tlsPort);
    if (!this.#lacks("outer TLS")) stream = await overTls(stream, grant.relay, { host: HOST });
    if (!this.#lacks("inner TLS")) {
      const version = oldClient ? OLD : {};
      const inside = { servername: "localhost", ALPNProtocols: [alpn], ...version };
      stream = await overTls(stream, grant.gateway, inside);
    }
    return stream.on("error", () => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }

  #lacks(layer: Layer): boolean {
    return this.difference.without.includes(layer);
  }

  async #start(): Promise<void> {
    const { relay, platform } = this.system;
    const { gateway, actor, target } = this.parties;
    const gatewayId = await this.#startGateway();
    await until(() => relay.registry.get(gatewayId) !== undefined, "the gateway has joined");
    listenInside(relay.registry.get(gatewayId)!, this.#inside);
    this.#clientLeg = await this.#tap(await this.#door(gatewayId));
    const wish = { gateway, targetHost: target.host, targetPort: target.port };
    const grant = await platform.as(actor, ["client"]).openConnection(wish);
    this.#grant = { ...grant, relay: { ...grant.relay, tlsPort: this.#clientLeg.port } };
  }

  async #tap({ port }: ListenAddress): Promise<Forwarder> {
    const wire = await forwarder({ host: HOST, port }, { tap: true, host: HOST });
    this.#owned.defer(() => wire.close());
    return wire;
  }

  async #door(gatewayId: string): Promise<ListenAddress> {
    const { relay: { tls, registry } } = this.system;
    if (!this.#lacks("outer TLS")) return tls;
    const { address, close } = await plainDoor(registry, gatewayId, HOST);
    this.#owned.defer(close);
    return address;
  }

  /** Brings the gateway to the relay; gives its id. A stand-in has the real one's credentials. */
  async #startGateway(): Promise<string> {
    const { system, parties: { gateway: name }, difference: { oldGateway } } = this;
    if (!this.#lacks("SSH") && !this.#lacks("inner TLS") && !oldGateway) {
      const leg = this.#gatewayLeg = await this.#tap(system.relay.ssh);
      const dialRelay = () => dial(HOST, leg.port);
      return (await system.gateway(name, undefined, { dialRelay })).id;
    }
    const registration = await system.platform.as(name, ["gateway"])
      .registerGateway({ name, relayName: "r1" });
    const serve = this.#serving(registration);
    if (this.#lacks("SSH")) await this.#joinPlainly(registration, serve);
    else await this.#join(registration, serve);
    return registration.gatewayId;
  }

  #serving({ pki }: GatewayRegistration): (channel: Duplex) => void {
    if (this.#lacks("inner TLS")) return (channel) => joinPlainly(channel, this.parties.target);
    if (this.difference.oldGateway) return refusingTls(pki, OLD);
    const server = new ChannelServer({ pki });
    this.#owned.defer(() => server.close());
    return (channel) => server.accept(channel);
  }

  async #join(
    { gatewayId, ssh }: GatewayRegistration,
    onChannel: (channel: Duplex) => void,
  ): Promise<void> {
    const { ssh: relay } = this.system.relay;
    const leg = this.#gatewayLeg = await this.#tap(relay);
    const session = await connectSsh({
      socket: await dial(HOST, leg.port),
      user: gatewayId,
      certificate: ssh.clientCertificate,
      privateKey: ssh.clientPrivateKey,
      hostAuthority: ssh.serverCAPublicKey,
      hostPrincipals: [`${HOST}:${relay.port}`],
      onChannel,
    });
    this.#owned.defer(() => session.close());
  }

  async #joinPlainly(
    { gatewayId }: GatewayRegistration,
    serve: (channel: Duplex) => void,
  ): Promise<void> {
    const { address, close } = await plainGateway(HOST, serve);
    this.#owned.defer(close);
    const leg = this.#gatewayLeg = await this.#tap(address);
    this.system.relay.registry.add(plainSession(gatewayId, { host: HOST, port: leg.port }));
  }
}

function concat(...parts: Buffer[][]): Buffer {
  return Buffer.concat(parts.flat());
}
