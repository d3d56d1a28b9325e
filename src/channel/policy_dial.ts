/** The target policy in force: a dialer that connects to no address that the policy refuses. */
import type { Dial } from "../egress/dial.ts";
import { SallyportError } from "../errors.ts";
import { formatAddress } from "../listen.ts";
import { decide, type TargetPolicy, type Verdict } from "./policy.ts";

/** One address that was not connected to. */
export interface RefusedTarget {
  host: string;
  address: string;
  port: number;
  /** Goes on "it is refused". */
  why: string;
}

/** Who is told what becomes of targets. */
export interface TargetWitness {
  onRefused(refused: RefusedTarget): void;
  /** @param address `address:port` */
  onConnected(address: string): void;
}

/**
 * A dialer that asks the policy about each address before it is dialled, and about the one that the
 * connection was made to once more. Rejects with `target-denied` if the policy refuses all addresses;
 * the message, which clients may hear, says nothing of addresses and rules: the witness is told.
 */
export function guardedDial(dial: Dial, policy: TargetPolicy, witness: TargetWitness): Dial {
  return async (host, port, options) => {
    const told = new Set<string>();
    const refuse = (address: string, { why }: Verdict): SallyportError => {
      if (!told.has(address)) witness.onRefused({ host, address, port, why });
      told.add(address);
      return denied(host, port);
    };
    let admitted = false;
    const admit = (address: string) => {
      const verdict = decide(policy, { host, address, port });
      if (!verdict.allowed) return refuse(address, verdict);
      admitted = true;
      return undefined;
    };
    const socket = await dial(host, port, { ...options, admit });
    const { remoteAddress: address, localAddress } = socket;
    // A connection that is over already no longer says where it led.
    if (address === undefined && admitted) return socket;
    const verdict = decide(policy, {
      host,
      address: address ?? "",
      port,
      here: address === localAddress,
    });
    if (!verdict.allowed) {
      socket.on("error", () => {});
      socket.resetAndDestroy();
      throw refuse(address ?? "unknown", verdict);
    }
    witness.onConnected(formatAddress({ host: address!, port }));
    return socket;
  };
}

function denied(host: string, port: number): SallyportError {
  const where = formatAddress({ host, port });
  return new SallyportError("target-denied", `target ${where}: this gateway's policy refuses it`, {
    hint: "see --allow and --deny on the gateway's host; sallyport gateway policy test explains",
  });
}
