/**
 * What is demanded of a key exchange beyond ssh2's own demands (seams 9 to 11, see transport.ts).
 */
import type { Buffer } from "node:buffer";
import { SallyportError } from "../../errors.ts";
import { FiniteFieldKey, primeOf, toBigInt } from "./finite_field.ts";

const DISCONNECT_MESSAGE = 1;
/** IGNORE, UNIMPLEMENTED, DEBUG (RFC 4253 §11). */
const MEANINGLESS = [2, 3, 4];
/** Numbers that belong to a key exchange (RFC 4253 §12). */
const OF_EXCHANGE = { first: 20, last: 49 };

/** A decipher of ssh2's, of which the receiver of payloads is replaced while keys are exchanged. */
export interface ExchangeDecipher {
  _onPayload(payload: Buffer): unknown;
}

/** How strict to be, and what to do then. */
export interface ExchangeRules {
  /** The first exchange of the session. */
  first: boolean;
  /** The peer has promised strictness. */
  strict: boolean;
  /** Ends the session. */
  refuse(error: SallyportError): never;
  /** Told what each message of the exchange cost, ms. */
  spent(time: number): void;
}

/**
 * From KEXINIT to NEWKEYS a strict peer sends nothing but the exchange itself, the first time (OpenSSH,
 * PROTOCOL §1.10): what else comes was put in by somebody in between. ssh2 lets empty packets and the
 * one after a wrong guess pass. In later exchanges, which are encrypted, IGNORE, UNIMPLEMENTED and DEBUG
 * are allowed (RFC 4253 §7.1); ssh2 takes them for a breach.
 */
export function watchExchange(decipher: ExchangeDecipher, rules: ExchangeRules): void {
  const receive = decipher._onPayload;
  decipher._onPayload = (payload) => {
    const type = payload.length === 0 ? undefined : payload[0]!;
    if (rules.first && rules.strict && !belongs(type)) {
      rules.refuse(
        new SallyportError(
          "ssh-protocol",
          `${type === undefined ? "an empty packet" : `SSH message ${type}`} in the middle of a ` +
            "strict key exchange (CVE-2023-48795): somebody between both sides may have put it there",
        ),
      );
    }
    if (!rules.first && type !== undefined && MEANINGLESS.includes(type)) return undefined;
    const started = performance.now();
    try {
      return receive(payload);
    } finally {
      rules.spent(performance.now() - started);
    }
  };
}

function belongs(type: number | undefined): boolean {
  return type === DISCONNECT_MESSAGE ||
    type !== undefined && type >= OF_EXCHANGE.first && type <= OF_EXCHANGE.last;
}

/** An exchange of ssh2's; those in a finite field say in which. */
export interface Exchange {
  type?: string;
  groupName?: string;
  computeSecret?(other: Buffer): unknown;
  generateKeys?(): void;
  _dh?: unknown;
  _public?: unknown;
}

/** Seam 11: ssh2 makes its own key only if there is none. */
export function shortenExponent(kex: Exchange): void {
  const { type, groupName, generateKeys } = kex;
  if (type !== "group" || groupName === undefined || !generateKeys) return;
  kex.generateKeys = () => {
    if (kex._dh) return;
    const key = FiniteFieldKey.make(groupName);
    if (!key) return generateKeys.call(kex);
    kex._dh = key;
    kex._public = key.generateKeys();
  };
}

/** ssh2 ends the exchange with the Error that is given back. */
export function guardSecret(kex: Exchange): void {
  const { type, groupName, computeSecret } = kex;
  if (type !== "group" || groupName === undefined || !computeSecret) return;
  kex.computeSecret = (other) =>
    isDegenerate(other, groupName)
      ? new Error("the public value gives the secret away (RFC 4253 §8)")
      : computeSecret.call(kex, other);
}

/** True unless 1 < value < p - 1: the others have a secret that is known without any key. */
function isDegenerate(value: Buffer, groupName: string): boolean {
  const number = toBigInt(value);
  return number <= 1n || number >= primeOf(groupName) - 1n;
}
