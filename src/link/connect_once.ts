/** Connect: one attempt to join one relay. What comes after a failure is the supervisor's business. */
import type { Duplex } from "node:stream";
import type { Dial } from "../egress/dial.ts";
import { SallyportError } from "../errors.ts";
import { connectSsh, type SshSession } from "../ssh/client.ts";
import type { ChannelLimit } from "../ssh/connection.ts";
import type { Keepalive } from "../ssh/session.ts";
import type { Registered } from "./register.ts";
import { formatRelayAddress, hostPrincipals } from "./relay_address.ts";

/** Time for one attempt after TCP is connected, and before it for connecting, ms each. */
export const CONNECT_TIMEOUT = 30_000;

/** A network that was cut is noticed to be back this soon, ms. */
const REDIAL_EVERY = 1_000;

/** What one attempt needs. */
export interface ConnectOptions {
  registered: Registered;
  /** Opens the TCP connection; its errors should be `relay-unreachable`. */
  dial: Dial;
  /** Takes every channel that the relay opens. */
  onChannel(channel: Duplex): void;
  keepalive?: Keepalive;
  /** @default 2048 */
  maxChannels?: ChannelLimit;
  /** ms @default 30,000 */
  timeout?: number;
  /** ms since 1970 @default Date.now */
  now?: () => number;
}

/**
 * Dials the relay, proves both sides to each other, and waits for the first answer on the session: a
 * relay that still holds an older connection of ours authenticates a second one and then closes it.
 * Rejects with `relay-unreachable`, `host-key-raw`, `certificate-*`, `ssh-*`, `timeout` or the
 * signal's reason; nothing is left open then.
 */
export async function connectOnce(
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<SshSession> {
  const { registered, dial, timeout = CONNECT_TIMEOUT, now = Date.now } = options;
  const { registration: { gatewayId, ssh }, address } = registered;
  const socket = await dial(address.host, address.port, {
    signal,
    timeout,
    again: REDIAL_EVERY,
  }).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(tooSlow(registered, timeout)), timeout);
  const ends = AbortSignal.any([signal, deadline.signal]);
  try {
    const session = await connectSsh({
      socket,
      user: gatewayId,
      certificate: ssh.clientCertificate,
      privateKey: ssh.clientPrivateKey,
      hostAuthority: ssh.serverCAPublicKey,
      hostPrincipals: hostPrincipals(address),
      onChannel: options.onChannel,
      keepalive: options.keepalive,
      maxChannels: options.maxChannels,
      signal: ends,
      now: () => new Date(now()),
    });
    return await firstAnswer(session, address, ends);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function firstAnswer(
  session: SshSession,
  address: Registered["address"],
  signal: AbortSignal,
): Promise<SshSession> {
  try {
    await session.ping(signal);
    return session;
  } catch (error) {
    session.close();
    if (signal.aborted) throw signal.reason;
    const relay = formatRelayAddress(address);
    throw new SallyportError("ssh-closed", `relay ${relay} accepted this gateway and hung up`, {
      hint: "it may still hold an older connection of this gateway, or another one with its name",
      cause: error,
    });
  }
}

function tooSlow({ address }: Registered, timeout: number): SallyportError {
  const relay = formatRelayAddress(address);
  return new SallyportError("timeout", `relay ${relay}: no SSH session within ${timeout} ms`);
}
