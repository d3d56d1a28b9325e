/**
 * ChaCha20 (RFC 8439 §2.3, with the 64-bit counter and nonce of OpenSSH's PROTOCOL.chacha20poly1305) as
 * WebAssembly: four blocks at a time, word i of all four in one vector.
 */
import { FunctionBuilder, type Local, OP, type Push, TYPE } from "./assembler.ts";

const { i32, v128, i8x16, i32x4 } = OP;

/** Bytes of keystream that one round of the loop makes. */
export const STRIDE = 256;
/** Quarter rounds in a stride, each on four blocks at once. */
export const QUARTER_ROUNDS = 80;

const lanes = (...words: number[]) =>
  words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte));
const LOW_WORDS = lanes(0, 4, 1, 5);
const HIGH_WORDS = lanes(2, 6, 3, 7);
const LOW_HALVES = lanes(0, 1, 4, 5);
const HIGH_HALVES = lanes(2, 3, 6, 7);

/** The state of four blocks, and what changing bytes by their keystream takes. */
export class FourBlocks {
  readonly #f: FunctionBuilder;
  readonly #initial: Local[];
  readonly #x: Local[];
  readonly #spare: Local[];
  readonly #turn16: Local;
  readonly #turn8: Local;

  /** The key stands at address `key`; `nonce` is the last word of the state as it stands there. */
  constructor(f: FunctionBuilder, key: Local, nonce: Local, counter: Local) {
    this.#f = f;
    const vectors = (count: number) => Array.from({ length: count }, () => f.local(TYPE.v128));
    this.#initial = vectors(16);
    this.#x = vectors(16);
    this.#spare = vectors(4);
    [this.#turn16, this.#turn8] = vectors(2) as [Local, Local];
    // Rotations by whole bytes choose bytes. (A shuffle's choice would be made anew each time.)
    f.set(this.#turn16, f.constant([0x01000302, 0x05040706, 0x09080b0a, 0x0d0c0f0e]));
    f.set(this.#turn8, f.constant([0x02010003, 0x06050407, 0x0a09080b, 0x0e0d0c0f]));
    const initial = this.#initial;
    // "expand 32-byte k"
    [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574].forEach((word, i) =>
      f.set(initial[i]!, f.constant([word, word, word, word]))
    );
    for (let i = 0; i < 8; i++) {
      f.set(initial[4 + i]!, f.memory(v128.load32Splat, 4 * i, f.get(key)));
    }
    const count = f.vector(i32x4.splat, f.get(counter));
    f.set(initial[12]!, f.vector(i32x4.add, count, f.constant([0, 1, 2, 3])));
    f.set(initial[13]!, f.constant([0, 0, 0, 0]));
    f.set(initial[14]!, f.constant([0, 0, 0, 0]));
    f.set(initial[15]!, f.vector(i32x4.splat, f.get(nonce)));
  }

  /**
   * Changes the stride at address `at` and goes on to the next four blocks. `beside` is called before
   * each quarter round and may write other code there.
   */
  change(at: Local, beside: (quarterRound: number) => void = () => {}): void {
    const f = this.#f;
    const [initial, x] = [this.#initial, this.#x];
    for (let i = 0; i < 16; i++) f.set(x[i]!, f.get(initial[i]!));
    for (let n = 0; n < QUARTER_ROUNDS; n++) {
      beside(n);
      const i = n % 4;
      // Columns and diagonals in turn.
      const turn = n % 8 < 4 ? 0 : 1;
      const row = (r: number) => x[4 * r + (i + turn * r) % 4]!;
      this.#quarterRound(row(0), row(1), row(2), row(3));
    }
    for (let group = 0; group < 4; group++) {
      const words = [0, 1, 2, 3].map((i) => 4 * group + i);
      for (const i of words) f.set(x[i]!, f.vector(i32x4.add, f.get(x[i]!), f.get(initial[i]!)));
      this.#transposed(words).forEach((keystream, block) => {
        const offset = 64 * block + 16 * group;
        const changed = f.vector(v128.xor, f.memory(v128.load, offset, f.get(at)), keystream);
        f.memory(v128.store, offset, f.get(at), changed)();
      });
    }
    f.set(initial[12]!, f.vector(i32x4.add, f.get(initial[12]!), f.constant([4, 4, 4, 4])));
  }

  /** RFC 8439 §2.1. */
  #quarterRound(a: Local, b: Local, c: Local, d: Local): void {
    const f = this.#f;
    const mix = (to: Local, from: Local, turned: Local, rotate: (value: Local) => Push) => {
      f.set(to, f.vector(i32x4.add, f.get(to), f.get(from)));
      f.set(turned, f.vector(v128.xor, f.get(turned), f.get(to)));
      f.set(turned, rotate(turned));
    };
    const bytes = (choice: Local) => (value: Local) =>
      f.vector(i8x16.relaxedSwizzle, f.get(value), f.get(choice));
    const bits = (count: number) => (value: Local) =>
      f.vector(
        v128.or,
        f.vector(i32x4.shl, f.get(value), f.i32(count)),
        f.vector(i32x4.shrU, f.get(value), f.i32(32 - count)),
      );
    mix(a, b, d, bytes(this.#turn16));
    mix(c, d, b, bits(12));
    mix(a, b, d, bytes(this.#turn8));
    mix(c, d, b, bits(7));
  }

  /** Four words of each of four blocks → the four words of each block. */
  #transposed(words: number[]): Push[] {
    const f = this.#f;
    const [a, b, c, d] = words.map((i) => f.get(this.#x[i]!)) as [Push, Push, Push, Push];
    const [s, t, u, v] = this.#spare as [Local, Local, Local, Local];
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
}

/**
 * `chacha20(key, nonce, counter, data, length, scratch)`: changes `length` bytes at address `data` by the
 * keystream of the 32-byte key at address `key`, from block `counter` on. `nonce` is the last word of
 * the state as it stands there (the sequence number, its bytes reversed). `scratch` is the address of
 * 256 bytes of its own.
 */
export function chacha20(): FunctionBuilder {
  const f = new FunctionBuilder("chacha20", Array(6).fill(TYPE.i32));
  const [key, nonce, counter, data, length, scratch] = [0, 1, 2, 3, 4, 5].map((n) =>
    f.parameter(n)
  ) as [Local, Local, Local, Local, Local, Local];
  const blocks = new FourBlocks(f, key, nonce, counter);
  const at = f.local(TYPE.i32);
  f.while(f.get(length), () => {
    f.set(at, f.get(data));
    // What is left is less than a stride: it is done in the scratch, so that nothing behind it changes.
    const rest = f.op(i32.gtU, f.i32(STRIDE), f.get(length));
    f.if(rest, () => {
      f.copy(f.get(scratch), f.get(data), f.get(length));
      f.set(at, f.get(scratch));
    });
    blocks.change(at);
    f.if(rest, () => {
      f.copy(f.get(data), f.get(scratch), f.get(length));
      f.set(length, f.i32(STRIDE));
    });
    f.set(data, f.op(i32.add, f.get(data), f.i32(STRIDE)));
    f.set(length, f.op(i32.sub, f.get(length), f.i32(STRIDE)));
  });
  return f;
}
