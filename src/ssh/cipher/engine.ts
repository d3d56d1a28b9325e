/**
 * ChaCha20 and Poly1305 in one WebAssembly instance, which all sessions of the process share: JavaScript
 * runs one of them at a time, and nothing of one stays behind in the instance's memory that the next
 * would read. Why not node:crypto: it has no Poly1305, and making a cipher object three times a packet
 * costs as much as the encryption.
 */
import { assemble } from "./assembler.ts";
import { chacha20 } from "./chacha20.ts";
import { poly1305 } from "./poly1305.ts";

const PAGE = 64 * 1024;

/** Addresses in the instance's memory. */
const AT = { mainKey: 0, lengthKey: 32, oneTimeKey: 64, tag: 128, scratch: 256, packet: 1024 };

/** Largest packet: length field, what it counts, tag (RFC 4253 §6.1 asks for 35,000 bytes at least). */
export const LARGEST = PAGE - AT.packet;
/** Bytes of a tag. */
export const TAG = 16;
/** Bytes of both keys together. */
export const KEYS = 64;

interface Exports {
  memory: { buffer: ArrayBuffer };
  chacha20(
    ...args: [key: number, nonce: number, block: number, at: number, length: number, spare: number]
  ): void;
  poly1305(...args: [key: number, at: number, length: number, tag: number, spare: number]): void;
}

const code = assemble([chacha20(), poly1305()], 1);
const instance = new WebAssembly.Instance(new WebAssembly.Module(code as BufferSource));
const wasm = instance.exports as unknown as Exports;
const memory = new Uint8Array(wasm.memory.buffer);
const view = new DataView(wasm.memory.buffer);

/** The packet that is being worked on; it may be filled by the caller, up to `LARGEST` bytes. */
export const packet: Uint8Array = memory.subarray(AT.packet);

/** A sequence number as the last word of ChaCha20's state: eight bytes, big endian, read backwards. */
function nonceOf(sequence: number): number {
  view.setUint32(AT.tag, sequence);
  return view.getInt32(AT.tag, true);
}

/** Sets the keys for what follows: K_2 and then K_1 of PROTOCOL.chacha20poly1305, as key exchange gives them. */
function useKeys(keys: Uint8Array): void {
  memory.set(keys, AT.mainKey);
}

function cryptLength(nonce: number): void {
  wasm.chacha20(AT.lengthKey, nonce, 0, AT.packet, 4, AT.scratch);
}

function cryptBody(nonce: number, length: number): void {
  wasm.chacha20(AT.mainKey, nonce, 1, AT.packet + 4, length, AT.scratch);
}

/** The tag over length field and body, at AT.tag. */
function authenticate(nonce: number, length: number): void {
  memory.fill(0, AT.oneTimeKey, AT.oneTimeKey + 32);
  wasm.chacha20(AT.mainKey, nonce, 0, AT.oneTimeKey, 32, AT.scratch);
  wasm.poly1305(AT.oneTimeKey, AT.packet, 4 + length, AT.tag, AT.scratch);
}

/**
 * Encrypts `packet`: four bytes of length and `length` bytes behind it; the tag is put behind them.
 * Everything happens in place.
 */
export function seal(keys: Uint8Array, sequence: number, length: number): void {
  const nonce = nonceOf(sequence);
  useKeys(keys);
  cryptLength(nonce);
  cryptBody(nonce, length);
  authenticate(nonce, length);
  memory.copyWithin(AT.packet + 4 + length, AT.tag, AT.tag + TAG);
}

/** The length that the four encrypted bytes at `at` of `data` stand for. It is not authentic yet. */
export function openLength(
  keys: Uint8Array,
  sequence: number,
  data: Uint8Array,
  at: number,
): number {
  for (let i = 0; i < 4; i++) packet[i] = data[at + i]!;
  useKeys(keys);
  cryptLength(nonceOf(sequence));
  return view.getUint32(AT.packet);
}

/**
 * Checks the tag of `packet` (four encrypted bytes of length, `length` bytes, the tag) and decrypts the
 * body in place. False if the tag does not hold; the time that takes does not depend on where.
 */
export function open(keys: Uint8Array, sequence: number, length: number): boolean {
  const nonce = nonceOf(sequence);
  useKeys(keys);
  authenticate(nonce, length);
  let difference = 0;
  for (let i = 0; i < TAG; i++) difference |= memory[AT.tag + i]! ^ packet[4 + length + i]!;
  if (difference !== 0) return false;
  cryptBody(nonce, length);
  return true;
}
