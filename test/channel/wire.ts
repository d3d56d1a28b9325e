/** A channel as the relay would open it, over a real socket, and a TLS client at its other end. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { Identity } from "./pki.ts";

export const HOST = "127.0.50.1";

export interface Wire {
  /** The platform's end. */
  far: Socket;
  /** The gateway's end: what a channel server is given. */
  channel: Socket;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Two ends of one connection. */
export async function wire(): Promise<Wire> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, HOST);
  await once(server, "listening");
  const accepted = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const far = connect({ host: HOST, port, allowHalfOpen: true, noDelay: true });
  const [[channel]] = await Promise.all([accepted, once(far, "connect")]) as [[Socket], unknown];
  server.close();
  far.on("error", () => {});
  return {
    far,
    channel,
    async [Symbol.asyncDispose]() {
      channel.on("error", () => {});
      far.destroy();
      channel.destroy();
      await Promise.all([closed(far), closed(channel)]);
    },
  };
}

export async function closed(stream: Socket): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", () => resolve()));
}

/** A TLS client of the platform on a wire's far end. */
export function tlsClient(
  { far }: Wire,
  identity: Identity | undefined,
  options: ConnectionOptions & { authority?: string } = {},
): TLSSocket {
  const client = connectTls({
    socket: far,
    servername: "localhost",
    // What is tested is whom the gateway lets in, not the other way round.
    rejectUnauthorized: false,
    ...(identity ? { cert: identity.certificate, key: identity.privateKey } : {}),
    ALPNProtocols: ["infisical-tcp-proxy"],
    ...({ allowHalfOpen: true } as object),
    ...options,
  });
  return client;
}
