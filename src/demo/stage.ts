/** Everything that the demonstration needs, in this process, on loopback ports that were free. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningConnect, startConnect } from "../client/connect.ts";
import { dialer } from "../egress/dial.ts";
import type { PlatformApi } from "../enroll/api.ts";
import { authorisedApi } from "../enroll/credentials.ts";
import { secretSource } from "../enroll/secret.ts";
import { type RunningGateway, startGateway } from "../link/gateway.ts";
import { initPlatform, PlatformAdmin } from "../platform/admin.ts";
import { startPlatform } from "../platform/platform.ts";
import { type RunningRelay, startRelay } from "../relay/relay.ts";
import { httpTarget, type Target, tcpTarget } from "./targets.ts";
import { Recording, type Wiretap, wiretap } from "./wiretap.ts";

const GATEWAY = "edge-1";
const RELAY = "relay-1";
const LOOPBACK = { host: "127.0.0.1", port: 0 };

/** The running parts, with ears on every wire. */
export interface Stage {
  platformUrl: string;
  relay: RunningRelay;
  gateway: RunningGateway;
  tcp: Target;
  /** The wires: client to relay, gateway to relay, and gateway to the HTTP service. */
  clientWire: Wiretap;
  gatewayWire: Wiretap;
  targetWire: Wiretap;
  /** What the relay itself has before it when it passes bytes on. */
  insideRelay: Recording;
  /** Opens a local port to a target behind the gateway. */
  connect(port: number, mode: "tcp" | "http"): Promise<RunningConnect>;
  /** Ends and removes everything. */
  close(): Promise<void>;
}

/** Sets everything up; calls `said` at each step. Stops early when `signal` aborts. */
export async function setStage(
  secret: string,
  said: (step: string) => void,
  signal: AbortSignal,
): Promise<Stage> {
  const owned = new AsyncDisposableStack();
  const stop = new AbortController();
  const ends = AbortSignal.any([signal, stop.signal]);
  try {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-demo-"));
    owned.defer(() => rm(folder, { recursive: true, force: true }));
    const running: Promise<unknown>[] = [];
    owned.defer(async () => {
      stop.abort();
      await Promise.allSettled(running);
    });

    const { url, tokens } = await platform(join(folder, "platform"), ends, running);
    said(`platform   ${url}: the API, and the authorities that sign every certificate`);
    const relay = await startRelay({
      name: RELAY,
      host: LOOPBACK.host,
      type: "org",
      api: api(url, tokens.relay, ends),
      sshListen: LOOPBACK,
      tlsListen: LOOPBACK,
    }, ends);
    running.push(relay.finished);
    said(
      `relay      SSH on port ${relay.ssh.port} for gateways, TLS on ${relay.tls.port} for clients`,
    );

    const http = httpTarget(secret);
    owned.defer(() => http.close());
    const tcp = await tcpTarget();
    owned.defer(() => tcp.close());
    said(`targets    a private HTTP service on port ${http.port}, a TCP service on ${tcp.port}`);
    const targetWire = await wiretap(http.port);
    owned.defer(() => targetWire.close());

    const gatewayWire = await wiretap(relay.ssh.port);
    owned.defer(() => gatewayWire.close());
    const clientWire = await wiretap(relay.tls.port);
    owned.defer(() => clientWire.close());
    const dial = dialer("relay-unreachable", "relay");
    const gateway = await startGateway({
      name: GATEWAY,
      domain: url,
      auth: { method: "enroll-token", token: secretSource(tokens.enrolment) },
      relayName: RELAY,
      stateDir: join(folder, "gateway"),
      healthListen: "127.0.0.1:0",
      dialRelay: (host, _port, options) => dial(host, gatewayWire.port, options),
    }, ends);
    running.push(gateway.finished);
    await Promise.race([
      gateway.state.until(({ phase }) => phase === "up", ends),
      gateway.finished,
    ]);
    said("gateway    has dialled out to the relay; it listens on no port but its own health check");

    const insideRelay = new Recording();
    const client = api(url, tokens.client, ends);
    return {
      platformUrl: url,
      relay,
      gateway,
      tcp,
      clientWire,
      gatewayWire,
      targetWire,
      insideRelay,
      connect: async (port, mode) => {
        listenInside(relay, gateway.state.snapshot.gatewayId!, insideRelay);
        const connection = await startConnect({
          listen: LOOPBACK,
          ...(mode === "http" && { http: {} }),
          grant: async (aborted) => {
            const body = { gateway: GATEWAY, targetHost: LOOPBACK.host, targetPort: port };
            const grant = await client.openConnection(body, aborted);
            return { ...grant, relay: { ...grant.relay, tlsPort: clientWire.port } };
          },
        }, ends);
        running.push(connection.finished);
        return connection;
      },
      close: () => owned.disposeAsync(),
    };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

function api(domain: string, token: string, signal: AbortSignal): PlatformApi {
  return authorisedApi({ method: "token", token: secretSource(token) }, { domain, signal });
}

async function platform(dataDir: string, signal: AbortSignal, running: Promise<unknown>[]) {
  await initPlatform({ dataDir });
  const { url, finished } = await startPlatform({ dataDir, listen: LOOPBACK }, signal);
  running.push(finished);
  const admin = await PlatformAdmin.open(dataDir);
  try {
    const token = async (identity: string, role: "relay" | "client") => {
      await admin.createIdentity({ name: identity, roles: [role] });
      return (await admin.createIdentityToken({ identity })).token;
    };
    const tokens = {
      relay: await token("the-relay", "relay"),
      client: await token("a-person", "client"),
      enrolment: (await admin.createGatewayToken({ gateway: GATEWAY })).token,
    };
    return { url, tokens };
  } finally {
    admin.close();
  }
}

/** A curious operator inside the relay: hears each chunk that the relay passes on, both ways. */
function listenInside({ registry }: RunningRelay, gatewayId: string, recording: Recording): void {
  const session = registry.get(gatewayId);
  if (!session || "overheard" in session) return;
  const open = session.open.bind(session);
  Object.assign(session, {
    overheard: true,
    open: async (signal?: AbortSignal) => {
      const channel = await open(signal);
      channel.on("data", (chunk: Uint8Array) => recording.hear(chunk)).pause();
      const write = channel.write.bind(channel) as (chunk: Uint8Array) => boolean;
      channel.write = (chunk: Uint8Array) => {
        recording.hear(chunk);
        return write(chunk);
      };
      return channel;
    },
  });
}
