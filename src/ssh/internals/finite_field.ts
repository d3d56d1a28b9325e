/**
 * Diffie-Hellman in the groups of RFC 3526 with short private exponents (RFC 7919 §5.2, as OpenSSH's
 * dh.c). node:crypto takes exponents as long as the prime, which buys nothing and which a stranger can
 * ask for without an effort of his own (CVE-2002-20001): in Deno one key exchange in group 18 keeps the
 * process busy for 614 ms, with a short exponent for 30 ms.
 */
import { Buffer } from "node:buffer";
import { getDiffieHellman, randomBytes } from "node:crypto";

/** Twice the strength of each group or a little more (RFC 7919 §5.2 and appendix A), bytes. */
const EXPONENT_BYTES: Record<string, number> = { modp14: 32, modp16: 44, modp18: 56 };
const GENERATOR = 2n;
/** Bits of the exponent that are worked off at a time. */
const WINDOW = 4;

const primes = new Map<string, bigint>();

/** The prime of a group, in node's name ("modp14"). */
export function primeOf(group: string): bigint {
  let prime = primes.get(group);
  if (prime === undefined) {
    prime = toBigInt(getDiffieHellman(group).getPrime());
    primes.set(group, prime);
  }
  return prime;
}

/** A big-endian number. */
export function toBigInt(value: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(value).toString("hex")}`);
}

/** One side's key of one exchange; the names are those of node's DiffieHellman. */
export class FiniteFieldKey {
  readonly #prime: bigint;
  readonly #exponent: Buffer;
  readonly #length: number;

  /** Undefined for a group without a known strength. */
  static make(group: string): FiniteFieldKey | undefined {
    const length = EXPONENT_BYTES[group];
    return length === undefined ? undefined : new FiniteFieldKey(primeOf(group), length);
  }

  private constructor(prime: bigint, exponentBytes: number) {
    this.#prime = prime;
    this.#length = prime.toString(16).length / 2;
    this.#exponent = randomBytes(exponentBytes);
    this.#exponent[0]! |= 0x80;
  }

  /** The public value. */
  generateKeys(): Buffer {
    return this.#power(GENERATOR);
  }

  /** The secret shared with the owner of a public value. */
  computeSecret(other: Uint8Array): Buffer {
    return this.#power(toBigInt(other));
  }

  /** A key serves for one exchange and meets one foreign value, so that its time tells of no other. */
  #power(base: bigint): Buffer {
    const prime = this.#prime;
    const powers = [1n];
    for (let i = 1; i < 2 ** WINDOW; i++) powers.push(powers[i - 1]! * base % prime);
    let result = 1n;
    for (const byte of this.#exponent) {
      for (const digit of [byte >> WINDOW, byte & (2 ** WINDOW - 1)]) {
        for (let i = 0; i < WINDOW; i++) result = result * result % prime;
        result = result * powers[digit]! % prime;
      }
    }
    return Buffer.from(result.toString(16).padStart(2 * this.#length, "0"), "hex");
  }
}
