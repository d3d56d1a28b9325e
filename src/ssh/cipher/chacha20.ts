/**
 * ChaCha20 (RFC 8439 §2.3, with the 64-bit counter and nonce of OpenSSH's PROTOCOL.chacha20poly1305) as
 * WebAssembly: four blocks at a time, word i of all four in one vector.
 */
import { FunctionBuilder, type Local, OP, type Push, TYPE } from "./assembler.ts";

const { i32, v128, i32x4 } = OP;

/** Bytes of keystream that one round of the loop makes. */
const STRIDE = 256;

/** Rotations by whole bytes are shuffles. */
const ROTATE_16 = [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13];
const ROTATE_8 = [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14];

const lanes = (...words: number[]) =>
  words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte));
const LOW_WORDS = lanes(0, 4, 1, 5);
const HIGH_WORDS = lanes(2, 6, 3, 7);
const LOW_HALVES = lanes(0, 1, 4, 5);
const HIGH_HALVES = lanes(2, 3, 6, 7);

/** Four vectors of four words, transposed. */
export function transpose(f: FunctionBuilder, rows: Push[], spare: Local[]): Push[] {
  const [a, b, c, d] = rows as [Push, Push, Push, Push];
  const [s, t, u, v] = spare as [Local, Local, Local, Local];
  f.set(s, f.shuffle(a, b, LOW_WORDS));
  f.set(t, f.shuffle(a, b, HIGH_WORDS));
  f.set(u, f.shuffle(c, d, LOW_WORDS));
  f.set(v, f.shuffle(c, d, HIGH_WORDS));
  return [
    f.shuffle(f.get(s), f.get(u), LOW_HALVES),
    f.shuffle(f.get(s), f.get(u), HIGH_HALVES),
    f.shuffle(f.get(t), f.get(v), LOW_HALVES),
    f.shuffle(f.get(t), f.get(v), HIGH_HALVES),
  ];
}

/**
 * `chacha20(key, nonce, counter, data, length, scratch)`: changes `length` bytes at address `data` by the
 * keystream of the 32-byte key at address `key`, from block `counter` on. `nonce` is the last word of
 * the state as it stands there (the sequence number, its bytes reversed). `scratch` is the address of
 * 256 bytes of its own.
 */
export function chacha20(): FunctionBuilder {
  const f = new FunctionBuilder("chacha20", Array(6).fill(TYPE.i32));
  const [key, nonce, counter, data, length, scratch] = Array.from(
    { length: 6 },
    (_, n) => f.parameter(n),
  ) as [Local, Local, Local, Local, Local, Local];
  const initial = Array.from({ length: 16 }, () => f.local(TYPE.v128));
  const x = Array.from({ length: 16 }, () => f.local(TYPE.v128));
  const spare = Array.from({ length: 4 }, () => f.local(TYPE.v128));
  const at = f.local(TYPE.i32);

  // "expand 32-byte k"
  [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574].forEach((word, i) =>
    f.set(initial[i]!, f.constant([word, word, word, word]))
  );
  for (let i = 0; i < 8; i++) {
    f.set(initial[4 + i]!, f.memory(v128.load32Splat, 4 * i, f.get(key)));
  }
  f.set(
    initial[12]!,
    f.vector(i32x4.add, f.vector(i32x4.splat, f.get(counter)), f.constant([0, 1, 2, 3])),
  );
  f.set(initial[13]!, f.constant([0, 0, 0, 0]));
  f.set(initial[14]!, f.constant([0, 0, 0, 0]));
  f.set(initial[15]!, f.vector(i32x4.splat, f.get(nonce)));

  f.while(f.get(length), () => {
    f.set(at, f.get(data));
    // What is left is less than a stride: it is done in the scratch, so that nothing behind it changes.
    const rest = f.op(i32.gtU, f.i32(STRIDE), f.get(length));
    f.if(rest, () => {
      f.copy(f.get(scratch), f.get(data), f.get(length));
      f.set(at, f.get(scratch));
    });
    for (let i = 0; i < 16; i++) f.set(x[i]!, f.get(initial[i]!));
    for (let doubleRound = 0; doubleRound < 10; doubleRound++) {
      for (let i = 0; i < 4; i++) quarterRound(f, x, i, 4 + i, 8 + i, 12 + i);
      for (let i = 0; i < 4; i++) {
        quarterRound(f, x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
      }
    }
    for (let group = 0; group < 4; group++) {
      const words = [0, 1, 2, 3].map((i) => 4 * group + i);
      for (const i of words) f.set(x[i]!, f.vector(i32x4.add, f.get(x[i]!), f.get(initial[i]!)));
      const blocks = transpose(f, words.map((i) => f.get(x[i]!)), spare);
      blocks.forEach((keystream, block) => {
        const offset = 64 * block + 16 * group;
        const changed = f.vector(v128.xor, f.memory(v128.load, offset, f.get(at)), keystream);
        f.memory(v128.store, offset, f.get(at), changed)();
      });
    }
    f.set(initial[12]!, f.vector(i32x4.add, f.get(initial[12]!), f.constant([4, 4, 4, 4])));
    f.if(rest, () => {
      f.copy(f.get(data), f.get(scratch), f.get(length));
      f.set(length, f.i32(STRIDE));
    });
    f.set(data, f.op(i32.add, f.get(data), f.i32(STRIDE)));
    f.set(length, f.op(i32.sub, f.get(length), f.i32(STRIDE)));
  });
  return f;
}

/** RFC 8439 §2.1, on four blocks at once. */
function quarterRound(
  f: FunctionBuilder,
  x: Local[],
  ...[a, b, c, d]: [number, number, number, number]
): void {
  const mix = (to: number, from: number, turned: number, rotate: (value: Local) => void) => {
    f.set(x[to]!, f.vector(i32x4.add, f.get(x[to]!), f.get(x[from]!)));
    f.set(x[turned]!, f.vector(v128.xor, f.get(x[turned]!), f.get(x[to]!)));
    rotate(x[turned]!);
  };
  const bytes = (shuffle: number[]) => (value: Local) =>
    f.set(value, f.shuffle(f.get(value), f.get(value), shuffle));
  const bits = (count: number) => (value: Local) =>
    f.set(
      value,
      f.vector(
        v128.or,
        f.vector(i32x4.shl, f.get(value), f.i32(count)),
        f.vector(i32x4.shrU, f.get(value), f.i32(32 - count)),
      ),
    );
  mix(a, b, d, bytes(ROTATE_16));
  mix(c, d, b, bits(12));
  mix(a, b, d, bytes(ROTATE_8));
  mix(c, d, b, bits(7));
}
