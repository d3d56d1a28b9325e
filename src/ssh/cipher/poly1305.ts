/**
 * Poly1305 (RFC 8439 §2.5) as WebAssembly, in plain 64-bit arithmetic: ChaCha20 keeps the processor's
 * vector units busy and leaves these alone, so that both together take hardly longer than one of them
 * (chacha20_poly1305.ts). The sum is four 32-bit words and a small fifth one.
 */
import { FunctionBuilder, type Local, OP, type Push, TYPE } from "./assembler.ts";

const { i32, i64 } = OP;

const BLOCK = 16;
const WORD = 0xffffffffn;
/** What r must not have is cleared (RFC 8439 §2.5.1). */
const CLAMP = [0x0fffffffn, 0x0ffffffcn, 0x0ffffffcn, 0x0ffffffcn];
/** Bytes of a sum in memory. */
export const SUM = 5 * 8;

/** A sum that is under way, in locals. */
export class Sum {
  readonly #f: FunctionBuilder;
  readonly #h: Local[];
  readonly #r: Local[];
  /** 5/4 of r: what leaves the sum at 2^130 comes back five-fold, and r's low bits are clear. */
  readonly #s: Local[];
  readonly #d: Local[];
  readonly #at: Local;

  /** The one-time key stands at address `key`, the sum so far at address `at`. */
  constructor(f: FunctionBuilder, key: Local, at: Local) {
    this.#f = f;
    this.#at = at;
    const scalars = (count: number) => Array.from({ length: count }, () => f.local(TYPE.i64));
    [this.#h, this.#r, this.#s, this.#d] = [scalars(5), scalars(4), scalars(4), scalars(4)];
    for (let i = 0; i < 4; i++) {
      const word = f.scalar(i64.load32, 4 * i, f.get(key));
      f.set(this.#r[i]!, f.op(i64.and, word, f.i64(CLAMP[i]!)));
      const quarter = f.op(i64.shrU, f.get(this.#r[i]!), f.i64(2n));
      f.set(this.#s[i]!, f.op(i64.add, f.get(this.#r[i]!), quarter));
    }
    this.#h.forEach((word, i) => f.set(word, f.scalar(i64.load, 8 * i, f.get(at))));
  }

  /** Puts the sum back into memory. */
  store(): void {
    const f = this.#f;
    this.#h.forEach((word, i) => f.scalar(i64.store, 8 * i, f.get(this.#at), f.get(word))());
  }

  /**
   * Adds the block at address `data` + `offset`, with `high` as bit 128, and multiplies by r; in steps that
   * other code may stand between. In front, h0 is below 2^34 and the others below 2^33, so that nothing
   * here reaches 2^64.
   */
  block(data: Local, offset: number, high: bigint): (() => void)[] {
    const f = this.#f;
    const [h, r, s, d] = [this.#h, this.#r, this.#s, this.#d];
    const add = (to: Local, value: Push) => f.set(to, f.op(i64.add, f.get(to), value));
    const right = (value: Local, bits: bigint) => f.op(i64.shrU, f.get(value), f.i64(bits));
    const word = (i: number) => f.scalar(i64.load32, offset + 4 * i, f.get(data));
    const product = (k: number) => {
      const terms = [0, 1, 2, 3].map((i) => {
        const by = i <= k ? r[k - i]! : s[k - i + 4]!;
        return f.op(i64.mul, f.get(h[i]!), f.get(by));
      });
      if (k > 0) terms.push(f.op(i64.mul, f.get(h[4]!), f.get(s[k]!)));
      f.set(d[k]!, terms.reduce((sum, term) => f.op(i64.add, sum, term)));
    };
    const carry = (k: number) => {
      f.set(h[k]!, f.op(i64.and, f.get(d[k]!), f.i64(WORD)));
      if (k < 3) add(d[k + 1]!, right(d[k]!, 32n));
    };
    return [
      () => {
        for (let i = 0; i < 4; i++) add(h[i]!, word(i));
        add(h[4]!, f.i64(high));
      },
      ...[0, 1, 2, 3].map((k) => () => product(k)),
      () => [0, 1].forEach(carry),
      () => [2, 3].forEach(carry),
      () => {
        f.set(h[4]!, f.op(i64.mul, f.get(h[4]!), f.get(r[0]!)));
        add(h[4]!, right(d[3]!, 32n));
        add(h[0]!, f.op(i64.mul, right(h[4]!, 2n), f.i64(5n)));
        f.set(h[4]!, f.op(i64.and, f.get(h[4]!), f.i64(3n)));
      },
    ];
  }
}

/**
 * `poly1305(key, data, length, sum, scratch)`: adds `length` bytes at address `data` to the sum at address
 * `sum`; the one-time key stands at address `key`. Only the last call may have a part of a block.
 * `scratch` is the address of 16 bytes of its own.
 */
export function poly1305(): FunctionBuilder {
  const f = new FunctionBuilder("poly1305", Array(5).fill(TYPE.i32));
  const [key, data, length, at, scratch] = [0, 1, 2, 3, 4].map((n) => f.parameter(n)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const sum = new Sum(f, key, at);
  f.while(f.op(i32.geU, f.get(length), f.i32(BLOCK)), () => {
    for (const step of sum.block(data, 0, 1n)) step();
    f.set(data, f.op(i32.add, f.get(data), f.i32(BLOCK)));
    f.set(length, f.op(i32.sub, f.get(length), f.i32(BLOCK)));
  });
  f.if(f.get(length), () => {
    // The last block is shorter: a one behind it, then zeros, and no bit 128.
    f.clear(f.get(scratch), f.i32(BLOCK));
    f.copy(f.get(scratch), f.get(data), f.get(length));
    f.scalar(i32.store8, 0, f.op(i32.add, f.get(scratch), f.get(length)), f.i32(1))();
    for (const step of sum.block(scratch, 0, 0n)) step();
  });
  sum.store();
  return f;
}

/**
 * `tag(key, sum, out)`: writes the tag to address `out`: the sum mod 2^130 - 5, plus the key's second half,
 * mod 2^128. No branch depends on the sum.
 */
export function tag(): FunctionBuilder {
  const f = new FunctionBuilder("tag", Array(3).fill(TYPE.i32));
  const [key, at, out] = [0, 1, 2].map((n) => f.parameter(n)) as [Local, Local, Local];
  const local = () => f.local(TYPE.i64);
  const words = Array.from({ length: 5 }, local);
  const [over, carried] = [local(), local()];
  const load = (i: number) => f.scalar(i64.load, 8 * i, f.get(at));
  // The words as they stand in memory may be a little over 32 bits.
  const carryAll = (first: Push) => {
    f.set(carried, first);
    for (let i = 0; i < 4; i++) {
      f.set(carried, f.op(i64.add, f.get(carried), f.get(words[i]!)));
      f.set(words[i]!, f.op(i64.and, f.get(carried), f.i64(WORD)));
      f.set(carried, f.op(i64.shrU, f.get(carried), f.i64(32n)));
    }
    f.set(words[4]!, f.op(i64.add, f.get(words[4]!), f.get(carried)));
  };
  words.forEach((word, i) => f.set(word, load(i)));
  carryAll(f.i64(0n));
  // Twice: what is over 2^130 comes back five-fold, and the first time may carry once more.
  for (let n = 0; n < 2; n++) {
    f.set(over, f.op(i64.shrU, f.get(words[4]!), f.i64(2n)));
    f.set(words[4]!, f.op(i64.and, f.get(words[4]!), f.i64(3n)));
    carryAll(f.op(i64.mul, f.get(over), f.i64(5n)));
  }
  // If the sum is 2^130 - 5 or more, adding 5 reaches 2^130: then 5 is added, and 2^130 falls away.
  f.set(over, f.i64(5n));
  for (let i = 0; i < 4; i++) {
    f.set(over, f.op(i64.shrU, f.op(i64.add, f.get(over), f.get(words[i]!)), f.i64(32n)));
  }
  f.set(over, f.op(i64.shrU, f.op(i64.add, f.get(over), f.get(words[4]!)), f.i64(2n)));
  carryAll(f.op(i64.mul, f.get(over), f.i64(5n)));
  // Plus the second half of the key.
  f.set(carried, f.i64(0n));
  for (let i = 0; i < 4; i++) {
    const word = f.scalar(i64.load32, BLOCK + 4 * i, f.get(key));
    f.set(carried, f.op(i64.add, f.op(i64.add, f.get(carried), f.get(words[i]!)), word));
    f.set(words[i]!, f.op(i64.and, f.get(carried), f.i64(WORD)));
    f.set(carried, f.op(i64.shrU, f.get(carried), f.i64(32n)));
  }
  for (const [half, low, high] of [[0, 0, 1], [8, 2, 3]] as const) {
    const upper = f.op(i64.shl, f.get(words[high]!), f.i64(32n));
    f.scalar(i64.store, half, f.get(out), f.op(i64.or, f.get(words[low]!), upper))();
  }
  return f;
}
