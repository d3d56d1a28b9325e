/**
 * ChaCha20 and Poly1305 in one WebAssembly instance, which all sessions of the process share: JavaScript
 * runs one of them at a time, and nothing of one stays behind in the instance's memory that the next
 * would read. Why not node:crypto: it has no Poly1305, and making a cipher object three times a packet
 * costs as much as the encryption.
 */
import { Buffer } from "node:buffer";
import { assemble } from "./assembler.ts";
import { chacha20, STRIDE } from "./chacha20.ts";
import { both } from "./chacha20_poly1305.ts";
import { poly1305, SUM, tag } from "./poly1305.ts";

const PAGE = 64 * 1024;

/**
 * Addresses in the instance's memory. In front of `input` there is room for the part of a packet that
 * came with an earlier read, so that the whole packet lies in one piece.
 */
const AT = {
  ...{ mainKey: 0, lengthKey: 32, oneTimeKey: 64, length: 96, tag: 128, sum: 192, scratch: 256 },
  ...{ packet: 1024, input: 2 * PAGE },
};

/** Largest packet: length field, what it counts, tag (RFC 4253 §6.1 asks for 35,000 bytes at least). */
export const LARGEST = PAGE - AT.packet;
/** Bytes of `input`. */
export const INPUT = 4 * PAGE;
/** Bytes of a tag. */
export const TAG = 16;
/** Bytes of both keys together. */
export const KEYS = 64;

interface Exports {
  memory: { buffer: ArrayBuffer };
  chacha20(
    ...args: [key: number, nonce: number, block: number, at: number, length: number, spare: number]
  ): void;
  poly1305(...args: [key: number, at: number, length: number, sum: number, spare: number]): void;
  tag(...args: [key: number, sum: number, out: number]): void;
  both(
    ...args: [
      ...[key: number, nonce: number, block: number, at: number, length: number],
      ...[oneTimeKey: number, summed: number, sum: number],
    ]
  ): void;
}

const code = assemble([chacha20(), poly1305(), tag(), both()], (AT.input + INPUT) / PAGE);
const instance = new WebAssembly.Instance(new WebAssembly.Module(code as BufferSource));
const wasm = instance.exports as unknown as Exports;
const memory = new Uint8Array(wasm.memory.buffer);
const view = new DataView(wasm.memory.buffer);

/** The packet that is being sealed; the caller fills it, up to `LARGEST` bytes. */
export const packet: Uint8Array = memory.subarray(AT.packet, AT.packet + PAGE - AT.packet);
/** Where a socket may be read to: what lies here is opened without being copied. */
export const input: Uint8Array = memory.subarray(AT.input, AT.input + INPUT);

/** A sequence number as the last word of ChaCha20's state: eight bytes, big endian, read backwards. */
function nonceOf(sequence: number): number {
  view.setUint32(AT.tag, sequence);
  return view.getInt32(AT.tag, true);
}

/** Sets the keys for what follows: K_2 and then K_1 of PROTOCOL.chacha20poly1305, as key exchange gives them. */
function useKeys(keys: Uint8Array): void {
  memory.set(keys, AT.mainKey);
}

/** Changes `length` bytes at `at` by the main key's keystream from its `skipped`-th byte on. */
function crypt(nonce: number, at: number, length: number, skipped: number): void {
  wasm.chacha20(AT.mainKey, nonce, 1 + skipped / 64, at, length, AT.scratch);
}

/** The same for whole strides, while `length` bytes at `summed` are added to the sum. */
function cryptAndSum(
  nonce: number,
  at: number,
  length: number,
  skipped: number,
  summed: number,
): void {
  const block = 1 + skipped / 64;
  wasm.both(AT.mainKey, nonce, block, at, length, AT.oneTimeKey, summed, AT.sum);
}

function beginSum(nonce: number): void {
  memory.fill(0, AT.oneTimeKey, AT.oneTimeKey + 32);
  wasm.chacha20(AT.mainKey, nonce, 0, AT.oneTimeKey, 32, AT.scratch);
  memory.fill(0, AT.sum, AT.sum + SUM);
}

function sum(at: number, length: number): void {
  wasm.poly1305(AT.oneTimeKey, at, length, AT.sum, AT.scratch);
}

/** The tag of what was summed, at AT.tag. */
function endSum(): void {
  wasm.tag(AT.oneTimeKey, AT.sum, AT.tag);
}

/**
 * Encrypts `packet`: four bytes of length and `length` bytes behind it; the tag is put behind them.
 * Everything happens in place.
 */
export function seal(keys: Uint8Array, sequence: number, length: number): void {
  const nonce = nonceOf(sequence);
  useKeys(keys);
  wasm.chacha20(AT.lengthKey, nonce, 0, AT.packet, 4, AT.scratch);
  beginSum(nonce);
  const body = AT.packet + 4;
  // What is summed must be encrypted already, so the sum is a stride behind.
  const strides = length - length % STRIDE;
  const together = Math.max(strides - STRIDE, 0);
  crypt(nonce, body, strides - together, 0);
  if (together > 0) {
    cryptAndSum(nonce, body + STRIDE, together, STRIDE, AT.packet);
  }
  crypt(nonce, body + strides, length - strides, strides);
  sum(AT.packet + together, 4 + length - together);
  endSum();
  memory.copyWithin(AT.packet + 4 + length, AT.tag, AT.tag + TAG);
}

/**
 * Brings bytes from `at` to `end` of `data` to where they can be opened, behind `before`, unless they
 * are there already, and gives the address of the first. At most `INPUT` bytes.
 */
export function load(before: Uint8Array, data: Uint8Array, at: number, end: number): number {
  let address = AT.input;
  if (data.buffer === memory.buffer) address = data.byteOffset + at;
  else memory.set(data.subarray(at, end), address);
  memory.set(before, address - before.length);
  return address;
}

/** The length that the four encrypted bytes at address `at` stand for. It is not authentic yet. */
export function openLength(keys: Uint8Array, sequence: number, at: number): number {
  useKeys(keys);
  memory.copyWithin(AT.length, at, at + 4);
  wasm.chacha20(AT.lengthKey, nonceOf(sequence), 0, AT.length, 4, AT.scratch);
  return view.getUint32(AT.length);
}

/**
 * Checks the tag of the packet at address `at` (four encrypted bytes of length, `length` bytes, the tag)
 * and decrypts the body in place. False if the tag does not hold: then the body is worth nothing. The
 * time that takes does not depend on where it differs.
 */
export function open(keys: Uint8Array, sequence: number, at: number, length: number): boolean {
  const nonce = nonceOf(sequence);
  useKeys(keys);
  beginSum(nonce);
  const all = 4 + length;
  // What is summed must be encrypted still, so the sum is a stride ahead.
  const ahead = all >= 2 * STRIDE ? STRIDE : 0;
  const together = ahead && all - all % STRIDE - STRIDE;
  if (together > 0) {
    sum(at, ahead);
    cryptAndSum(nonce, at + 4, together, 0, at + ahead);
  }
  sum(at + ahead + together, all - ahead - together);
  endSum();
  let difference = 0;
  for (let i = 0; i < TAG; i++) difference |= memory[AT.tag + i]! ^ memory[at + all + i]!;
  if (difference !== 0) return false;
  crypt(nonce, at + 4 + together, length - together, together);
  return true;
}

/** Bytes from one address to another; valid until the memory is used for something else. */
export function bytes(from: number, to: number): Buffer {
  return Buffer.from(wasm.memory.buffer, from, to - from);
}

let users = 0;

/**
 * Runs `work`, which opens packets. If somebody's work is what has called this, that one's packets are
 * put back in their place afterwards.
 */
export function withInput<T>(work: () => T): T {
  const theirs = users > 0 ? memory.slice(PAGE) : undefined;
  users++;
  try {
    return work();
  } finally {
    users--;
    if (theirs) memory.set(theirs, PAGE);
  }
}
