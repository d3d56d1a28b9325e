/** What stands in for a part of the system when a test takes one layer of encryption away. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  connect as connectTls,
  type ConnectionOptions,
  createServer as createTlsServer,
  type TlsOptions,
} from "node:tls";
import type { TlsIdentity } from "../../src/client/stream.ts";
import { dial } from "../../src/egress/dial.ts";
import type { GatewayRegistration } from "../../src/enroll/api.ts";
import { pipe } from "../../src/forward/pipe.ts";
import { listen, type ListenAddress } from "../../src/listen.ts";
import type { Registry } from "../../src/relay/registry.ts";
import type { Channel } from "../../src/ssh/channel.ts";
import type { GatewaySession } from "../../src/ssh/server.ts";
import { acceptTls, TlsCarrier } from "../../src/tls/carrier.ts";
import { TlsStream } from "../../src/tls/stream.ts";

/** A listening stand-in, and how it is closed. */
export interface StandIn {
  address: ListenAddress;
  close(): Promise<void>;
}

/** One layer of a client's TLS, as client/stream.ts makes it. */
export async function overTls(
  duplex: Duplex,
  keys: TlsIdentity,
  more: ConnectionOptions,
): Promise<TlsStream> {
  const carrier = new TlsCarrier(duplex);
  const tls = connectTls({
    cert: keys.clientCertificate,
    key: keys.clientPrivateKey,
    ca: keys.serverCertificateChain,
    ...({ allowHalfOpen: true } as object),
    ...more,
    socket: carrier as unknown as Socket,
  });
  return await new Promise((resolve, reject) => {
    tls.once("error", reject);
    tls.once("close", () => reject(new Error("closed during the handshake")));
    tls.once("secureConnect", () => resolve(new TlsStream(tls, carrier)));
  });
}

/** A relay's door for clients without TLS: everybody comes to the one gateway. */
export function plainDoor(registry: Registry, gatewayId: string, host: string): Promise<StandIn> {
  return listening(host, async (client) => {
    await pipe(client, await registry.get(gatewayId)!.open());
  });
}

/** A gateway that the relay reaches without SSH: a connection of its own for each channel. */
export function plainGateway(host: string, serve: (channel: Duplex) => void): Promise<StandIn> {
  return listening(host, (channel) => {
    serve(channel);
    return Promise.resolve();
  });
}

/** What the relay takes for that gateway's session. */
export function plainSession(gatewayId: string, at: ListenAddress): GatewaySession {
  const closed = Promise.withResolvers<undefined>();
  let names = 0;
  return {
    gatewayId,
    closed: closed.promise,
    channels: 0,
    open: async () => {
      const socket = await dial(at.host, at.port);
      return Object.assign(socket, { name: `plain-${++names}` }) as unknown as Channel;
    },
    close: () => closed.resolve(undefined),
  } as unknown as GatewaySession;
}

/** A gateway's work without TLS inside the channel: whatever comes goes to the target as it is. */
export async function joinPlainly(channel: Duplex, target: ListenAddress): Promise<void> {
  channel.on("error", () => {});
  await pipe(channel, await dial(target.host, target.port)).catch(() => {});
}

/** A gateway that does TLS in its own way, and nothing behind it. */
export function refusingTls(
  pki: GatewayRegistration["pki"],
  more: TlsOptions,
): (channel: Duplex) => void {
  const server = createTlsServer({
    cert: pki.serverCertificate,
    key: pki.serverPrivateKey,
    ca: pki.clientCertificateChain,
    requestCert: true,
    ALPNProtocols: ["infisical-tcp-proxy"],
    ...more,
  });
  return (channel) => {
    const carrier = new TlsCarrier(channel.on("error", () => {}));
    const onEnd = () => carrier.dismiss();
    acceptTls(server, carrier, { onSecure: onEnd, onFailure: onEnd });
  };
}

/** What a curious relay would keep: each chunk that it passes on between its own two layers. */
export interface Overheard {
  in: Buffer[];
  out: Buffer[];
}

/**
 * From now on everything goes into `overheard` that the relay reads from or writes to a channel. It is
 * copied: the hot path uses its memory again.
 */
export function listenInside(session: GatewaySession, overheard: Overheard): void {
  const open = session.open.bind(session);
  session.open = async (signal) => {
    const channel = await open(signal);
    channel.on("data", (chunk: Buffer) => overheard.out.push(Buffer.from(chunk))).pause();
    const write = channel.write.bind(channel) as (chunk: Buffer) => boolean;
    channel.write = (chunk: Buffer) => {
      overheard.in.push(Buffer.from(chunk));
      return write(chunk);
    };
    return channel;
  };
}

async function listening(host: string, serve: (socket: Socket) => Promise<void>): Promise<StandIn> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket).catch(() => socket.destroy());
  });
  const address = await listen(server, { host, port: 0 }, "a test");
  return {
    address,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
