/** A platform, a relay and gateways, all real, for tests that try to come between them. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { StreamOpener } from "../../src/client/stream.ts";
import type { Connection, GatewayRegistration } from "../../src/enroll/api.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { dial } from "../../src/egress/dial.ts";
import { type GatewayOptions, type RunningGateway, startGateway } from "../../src/link/gateway.ts";
import { parseRelayAddress } from "../../src/link/relay_address.ts";
import { type RunningRelay, startRelay } from "../../src/relay/relay.ts";
import type { RelayType } from "../../src/enroll/api.ts";
import { connectSsh, type ConnectSshOptions, type SshSession } from "../../src/ssh/client.ts";
import { platform, type PlatformFixture } from "../platform/fixture.ts";
import { temporaryFolder } from "../temporary.ts";

/** Where everything of these tests listens. */
export const HOST = "127.0.49.10";

export interface SystemGateway extends RunningGateway {
  id: string;
  /** Ends it and waits. */
  stop(): Promise<void>;
}

export class System implements AsyncDisposable {
  readonly #ends: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly platform: PlatformFixture,
    readonly relay: RunningRelay,
    readonly opener: StreamOpener,
    readonly stateDir: string,
  ) {}

  static async start(type: RelayType = "instance"): Promise<System> {
    const folder = await temporaryFolder();
    const p = await platform({ listen: { host: HOST, port: 0 } });
    const stop = new AbortController();
    const any = { host: HOST, port: 0 };
    const relay = await startRelay({
      name: "r1",
      host: HOST,
      type,
      api: type === "org" ? p.as("the-relay", ["relay"]) : p.api(p.relaySecret),
      sshListen: any,
      tlsListen: any,
      drainTimeout: 0,
    }, stop.signal);
    const opener = new StreamOpener({ timeout: 5_000 });
    const system = new System(p, relay, opener, folder.path);
    system.#ends.push(async () => {
      stop.abort();
      await relay.finished.catch(() => {});
      await p[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });
    return system;
  }

  /** A gateway of that name that is up. */
  async gateway(
    name: string,
    organisation?: string,
    more: Partial<GatewayOptions> = {},
  ): Promise<SystemGateway> {
    const { token } = this.platform.admin.createGatewayToken({ gateway: name, organisation });
    const stop = new AbortController();
    const running = await startGateway({
      name: `${organisation ?? ""}${name}`,
      domain: this.platform.url,
      auth: { method: "enroll-token", token: secretSource(token) },
      relayName: "r1",
      stateDir: this.stateDir,
      healthListen: "off",
      backoff: { base: 20, cap: 200 },
      drainTimeout: 0,
      ...more,
    }, stop.signal);
    const end = async () => {
      stop.abort();
      await running.finished.catch(() => {});
    };
    this.#ends.push(end);
    const up = running.state.until(({ phase }) => phase === "up", stop.signal);
    const { gatewayId } = await Promise.race([
      up,
      running.finished.then(() => assert.fail("it ended before it was up")),
    ]);
    return { ...running, id: gatewayId!, stop: end };
  }

  /** Opens a stream and sends a word, which an echo sends back. */
  async stream(grant: Connection, alpn = "infisical-tcp-proxy"): Promise<Duplex> {
    const stream = await this.opener.stream(grant, alpn);
    stream.on("error", () => {});
    return stream;
  }

  /** What a stream's other end says to a word: the word, "" if it is cut off. */
  async echo(stream: Duplex, word = "hello"): Promise<string> {
    const gone = over(stream).then(() => "");
    stream.write(word);
    const [answer] = await Promise.race([
      once(stream, "data") as Promise<[Buffer]>,
      gone.then((nothing) => [nothing]),
    ]);
    return String(answer);
  }

  /** Joins the relay as a registration, or a part of it, says. */
  join(registration: GatewayRegistration, changed?: { user?: string }): Promise<SshSession> {
    return joinRelay(registration, changed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }
}

/** Joins a relay as a registration, or a part of it, says. */
export async function joinRelay(
  { gatewayId, relayHost, ssh }: GatewayRegistration,
  changed: Partial<Pick<ConnectSshOptions, "user" | "socket" | "signal">> = {},
): Promise<SshSession> {
  const { host, port } = parseRelayAddress(relayHost);
  return await connectSsh({
    socket: changed.socket ?? await dial(host, port),
    user: gatewayId,
    certificate: ssh.clientCertificate,
    privateKey: ssh.clientPrivateKey,
    hostAuthority: ssh.serverCAPublicKey,
    hostPrincipals: [`${host}:${port}`],
    onChannel: (channel) => void channel.destroy(),
    ...changed,
  });
}

/** Resolves when the other side has ended a stream, in whatever way. */
export function over(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ["end", "close", "error"]) stream.once(event, () => resolve());
    if (stream.destroyed) resolve();
  });
}
