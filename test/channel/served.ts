/** A channel server with a client that comes through real TLS, for tests that attack it. */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { readRules, type TargetPolicy } from "../../src/channel/policy.ts";
import type { Rule } from "../../src/channel/policy_rule.ts";
import { ChannelServer, type ChannelServerOptions } from "../../src/channel/server.ts";
import { type LeafOptions, Pki } from "./pki.ts";
import { tlsClient, type Wire, wire } from "./wire.ts";

const pki = await Pki.create("ecdsa");

export const USER = { type: "user", id: "u-1", name: "Ada" };
export const PLATFORM = { type: "platform" };

export interface Asked extends LeafOptions {
  /** What the certificate names. */
  at: { host: string; port: number };
  /** @default USER */
  by?: object;
  /** @default "infisical-tcp-proxy" */
  alpn?: string;
}

export interface Served extends AsyncDisposable {
  server: ChannelServer;
  /** Opens a channel for a certificate. */
  open(asked: Asked): Promise<TLSSocket>;
  /** Opens a channel, sends a text, and gives all that comes until the end. */
  ask(text: string, asked: Asked): Promise<string>;
}

export function serve(options: Partial<ChannelServerOptions> = {}): Served {
  const server = new ChannelServer({ pki: pki.registration, ...options });
  const wires: Wire[] = [];
  const open = async ({ at, by = USER, alpn = "infisical-tcp-proxy", ...more }: Asked) => {
    const pair = await wire();
    wires.push(pair);
    server.accept(pair.channel);
    const target = JSON.stringify({ targetHost: at.host, targetPort: at.port });
    const identity = await pki.client({ target, actor: JSON.stringify(by), ...more });
    const tls = tlsClient(pair, identity, { ALPNProtocols: [alpn] });
    tls.on("error", () => {});
    tls.once("close", () => pair.far.destroy());
    return tls;
  };
  return {
    server,
    open,
    async ask(text, asked) {
      const tls = await open(asked);
      tls.end(text);
      return await heard(tls);
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      for (const pair of wires) await pair[Symbol.asyncDispose]();
    },
  };
}

/** What a client hears until its connection is over. */
export async function heard(tls: TLSSocket): Promise<string> {
  let all = "";
  tls.on("data", (chunk: Buffer) => all += chunk);
  tls.once("end", () => tls.destroy());
  await new Promise<void>((resolve) => tls.once("close", () => resolve()));
  return all;
}

export function policy(allow: string, deny = "", health?: TargetPolicy["health"]): TargetPolicy {
  return { allow: rules(allow), deny: rules(deny), health };
}

function rules(text: string): Rule[] {
  if (text === "") return [];
  const read = readRules(text);
  if (typeof read === "string") throw new Error(read);
  return read;
}

export interface Listening extends AsyncDisposable {
  host: string;
  port: number;
  /** How many have connected. */
  asked: number;
}

/** A target at one of these tests' addresses. */
export async function target(
  host: string,
  serve: (socket: Socket) => void,
  port = 0,
): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    listening.asked++;
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  server.listen(port, host);
  await once(server, "listening");
  const listening: Listening = {
    host,
    port: (server.address() as AddressInfo).port,
    asked: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return listening;
}

/** A target that says its own address and ends. */
export function teller(host: string, port = 0): Promise<Listening> {
  return target(host, (socket) => void socket.resume().end(host), port);
}
