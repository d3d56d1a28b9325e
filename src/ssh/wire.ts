/**
 * The primitive types of the SSH wire (RFC 4251 §5): reading and writing them, nothing else.
 * Reads are bounds-checked; a short or overlong field throws `ssh-protocol`.
 */
import { Buffer } from "node:buffer";
import { SallyportError } from "../errors.ts";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads RFC 4251 primitives one after another from `data`. Returned buffers are views. */
export class WireReader {
  readonly #data: Buffer;
  #at: number;
  readonly #what: string;

  /** @param what names the structure in error messages, for example "host certificate" */
  constructor(data: Uint8Array, what: string, at = 0) {
    this.#data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#what = what;
    this.#at = at;
  }

  /** Where the next read starts, bytes from the beginning. */
  get position(): number {
    return this.#at;
  }

  /** True once everything has been read. */
  get atEnd(): boolean {
    return this.#at === this.#data.length;
  }

  #take(length: number, field: string): number {
    const at = this.#at;
    if (length > this.#data.length - at) {
      throw new SallyportError("ssh-protocol", `${this.#what}: ${field} is cut short`);
    }
    this.#at = at + length;
    return at;
  }

  byte(field: string): number {
    return this.#data[this.#take(1, field)]!;
  }

  boolean(field: string): boolean {
    return this.byte(field) !== 0;
  }

  uint32(field: string): number {
    return this.#data.readUInt32BE(this.#take(4, field));
  }

  uint64(field: string): bigint {
    return this.#data.readBigUInt64BE(this.#take(8, field));
  }

  /** A `string`: arbitrary bytes with their length before them. */
  bytes(field: string): Buffer {
    const length = this.uint32(field);
    const at = this.#take(length, field);
    return this.#data.subarray(at, at + length);
  }

  /** A `string` that carries text. */
  text(field: string): string {
    return this.bytes(field).toString("utf8");
  }

  /**
   * A `string` that is a name: UTF-8 without NUL. Two that differ in bytes differ as text, and none ends
   * earlier for a program in C (OpenSSH refuses NUL in these as well).
   */
  name(field: string): string {
    const bytes = this.bytes(field);
    if (bytes.includes(0)) throw this.#malformed(field, "has a NUL in it");
    try {
      return strictUtf8.decode(bytes);
    } catch {
      throw this.#malformed(field, "is not UTF-8");
    }
  }

  #malformed(field: string, how: string): SallyportError {
    return new SallyportError("ssh-protocol", `${this.#what}: ${field} ${how}`);
  }

  /** Everything that has not been read yet. */
  rest(): Buffer {
    const at = this.#at;
    this.#at = this.#data.length;
    return this.#data.subarray(at);
  }

  /** Throws unless everything has been read: trailing bytes are never ignored. */
  end(): void {
    if (!this.atEnd) {
      const left = this.#data.length - this.#at;
      throw new SallyportError("ssh-protocol", `${this.#what}: ${left} bytes too many at the end`);
    }
  }
}

/** A `byte`. */
export function byte(value: number): Buffer {
  return Buffer.of(value);
}

/** A `uint32`. */
export function uint32(value: number): Buffer {
  const out = Buffer.allocUnsafe(4);
  out.writeUInt32BE(value);
  return out;
}

/** A `uint64`. */
export function uint64(value: bigint): Buffer {
  const out = Buffer.allocUnsafe(8);
  out.writeBigUInt64BE(value);
  return out;
}

/** A `string` of bytes or UTF-8 text. */
export function string(value: Uint8Array | string): Buffer {
  const body = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  const out = Buffer.allocUnsafe(4 + body.length);
  out.writeUInt32BE(body.length);
  out.set(body, 4);
  return out;
}

/** An `mpint` from an unsigned big-endian number: shortest form, zero byte before a set top bit. */
export function mpint(unsigned: Uint8Array): Buffer {
  let start = 0;
  while (start < unsigned.length && unsigned[start] === 0) start++;
  const body = unsigned.subarray(start);
  if (body.length > 0 && (body[0]! & 0x80) !== 0) {
    return string(Buffer.concat([Buffer.of(0), body]));
  }
  return string(body);
}
