/**
 * Poly1305 (RFC 8439 §2.5) as WebAssembly. A number of 130 bits is five limbs of 26 bits. Four blocks are
 * taken at a time, limb i of all four in one vector: each lane sums up every fourth block, and in the
 * end the lanes are weighed with r⁴, r³, r² and r and added. What is left goes block by block.
 */
import { FunctionBuilder, type Local, OP, type Push, TYPE } from "./assembler.ts";
import { transpose } from "./chacha20.ts";

const { i32, i64, v128, i32x4, i64x2 } = OP;

const LIMB = 26;
const MASK = (1 << LIMB) - 1;
const BLOCK = 16;
const STRIDE = 4 * BLOCK;
const LIMBS = [0, 1, 2, 3, 4];
/** Words 0, 2, 4 and 6 of two vectors: the low halves of their four 64-bit numbers. */
const LOW_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

/** Limbs of a number: locals that hold one each. */
type Number130 = Local[];

/**
 * `poly1305(key, data, length, out, scratch)`: writes the tag of `length` bytes at address `data` to address
 * `out`; the one-time key stands at address `key`. `scratch` is the address of 96 bytes of its own.
 */
export function poly1305(): FunctionBuilder {
  const f = new FunctionBuilder("poly1305", Array(5).fill(TYPE.i32));
  const [key, data, length, out, scratch] = [0, 1, 2, 3, 4].map((n) => f.parameter(n)) as [
    ...[Local, Local, Local, Local, Local],
  ];
  const scalars = () => LIMBS.map(() => f.local(TYPE.i64));
  const r = scalars();
  const h = scalars();
  const spare = scalars();

  loadBlock(f, r, f.get(key), { high: 0n, clamp: true });
  for (const limb of h) f.set(limb, f.i64(0n));
  f.if(f.op(i32.geU, f.get(length), f.i32(STRIDE)), () => {
    sumStrides(f, { r, h, spare, data, length, scratch });
  });
  const block = scalars();
  f.while(f.op(i32.geU, f.get(length), f.i32(BLOCK)), () => {
    loadBlock(f, block, f.get(data), { high: 1n });
    addAndMultiply(f, h, block, r, spare);
    advance(f, data, length, BLOCK);
  });
  f.if(f.get(length), () => {
    // The last block is shorter: a one behind it, then zeros, and no bit 128.
    f.clear(f.get(scratch), f.i32(BLOCK));
    f.copy(f.get(scratch), f.get(data), f.get(length));
    f.scalar(i32.store8, 0, f.op(i32.add, f.get(scratch), f.get(length)), f.i32(1))();
    loadBlock(f, block, f.get(scratch), { high: 0n });
    addAndMultiply(f, h, block, r, spare);
  });
  finish(f, { h, g: spare, key, out });
  return f;
}

function advance(f: FunctionBuilder, data: Local, length: Local, by: number): void {
  f.set(data, f.op(i32.add, f.get(data), f.i32(by)));
  f.set(length, f.op(i32.sub, f.get(length), f.i32(by)));
}

/** 16 bytes as limbs, with `high` as bit 128; `clamp` clears the bits that r must not have. */
function loadBlock(
  f: FunctionBuilder,
  into: Number130,
  address: Push,
  { high, clamp = false }: { high: bigint; clamp?: boolean },
): void {
  const word = (offset: number, bits: bigint): Push => {
    const load = f.scalar(i64.load, offset, address);
    return clamp ? f.op(i64.and, load, f.i64(bits)) : load;
  };
  const low = word(0, 0x0ffffffc0fffffffn);
  const upper = word(8, 0x0ffffffc0ffffffcn);
  const right = (value: Push, bits: number) => f.op(i64.shrU, value, f.i64(BigInt(bits)));
  const limb = (value: Push) => f.op(i64.and, value, f.i64(BigInt(MASK)));
  f.set(into[0]!, limb(low));
  f.set(into[1]!, limb(right(low, 26)));
  f.set(into[2]!, limb(f.op(i64.or, right(low, 52), f.op(i64.shl, upper, f.i64(12n)))));
  f.set(into[3]!, limb(right(upper, 14)));
  f.set(into[4]!, f.op(i64.or, right(upper, 40), f.i64(high << 24n)));
}

/** Limb k of a product: the terms h[i]·r[j] with i + j = k, and five times those with i + j = k + 5. */
function terms(k: number): { i: number; j: number; wraps: boolean }[] {
  return LIMBS.map((i) => ({ i, j: (k - i + 5) % 5, wraps: i > k }));
}

/** h = (h + block) · r mod 2^130 - 5, with limbs a little over 26 bits. */
function addAndMultiply(
  f: FunctionBuilder,
  h: Number130,
  block: Number130,
  r: Number130,
  d: Number130,
): void {
  for (const i of LIMBS) f.set(h[i]!, f.op(i64.add, f.get(h[i]!), f.get(block[i]!)));
  multiply(f, h, r, d);
}

function multiply(f: FunctionBuilder, h: Number130, r: Number130, d: Number130): void {
  for (const k of LIMBS) {
    const products = terms(k).map(({ i, j, wraps }) => {
      const product = f.op(i64.mul, f.get(h[i]!), f.get(r[j]!));
      return wraps ? f.op(i64.mul, product, f.i64(5n)) : product;
    });
    f.set(d[k]!, products.reduce((sum, product) => f.op(i64.add, sum, product)));
  }
  for (const i of LIMBS) f.set(h[i]!, f.get(d[i]!));
  carry(f, h);
}

/** Brings limbs back to 26 bits; what leaves limb 4 comes back five-fold in limb 0. */
function carry(f: FunctionBuilder, h: Number130): void {
  const over = (i: number) => f.op(i64.shrU, f.get(h[i]!), f.i64(BigInt(LIMB)));
  const keep = (i: number) => f.set(h[i]!, f.op(i64.and, f.get(h[i]!), f.i64(BigInt(MASK))));
  for (const i of [0, 1, 2, 3, 4, 0]) {
    const carried = i === 4 ? f.op(i64.mul, over(i), f.i64(5n)) : over(i);
    const next = (i + 1) % 5;
    f.set(h[next]!, f.op(i64.add, f.get(h[next]!), carried));
    keep(i);
  }
}

interface Strides {
  r: Number130;
  h: Number130;
  spare: Number130;
  data: Local;
  length: Local;
  scratch: Local;
}

/** All whole strides into h; what is left of data and length is less than one. */
function sumStrides(f: FunctionBuilder, { r, h, spare, data, length, scratch }: Strides): void {
  // The powers of r, limb by limb: r⁴, r³, r², r in the lanes of a vector in the scratch.
  const power = LIMBS.map(() => f.local(TYPE.i64));
  for (const i of LIMBS) f.set(power[i]!, f.get(r[i]!));
  for (let n = 1; n <= 4; n++) {
    if (n > 1) multiply(f, power, r, spare);
    for (const i of LIMBS) {
      const value = f.op(i64.toI32, f.get(power[i]!));
      f.scalar(i32.store, BLOCK * i + 4 * (4 - n), f.get(scratch), value)();
    }
  }
  const vectors = () => LIMBS.map(() => f.local(TYPE.v128));
  const [sum, by, byFive] = [vectors(), vectors(), vectors()];
  const low = vectors();
  const high = vectors();
  const words = [0, 1, 2, 3].map(() => f.local(TYPE.v128));
  const turned = [0, 1, 2, 3].map(() => f.local(TYPE.v128));
  const zero = f.constant([0, 0, 0, 0]);
  const weigh = (load: (limb: number) => Push) => {
    for (const i of LIMBS) {
      f.set(by[i]!, load(i));
      const four = f.vector(i32x4.shl, f.get(by[i]!), f.i32(2));
      f.set(byFive[i]!, f.vector(i32x4.add, f.get(by[i]!), four));
    }
  };

  for (const limb of sum) f.set(limb, zero);
  weigh((i) => f.memory(v128.load32Splat, BLOCK * i, f.get(scratch)));
  f.while(f.op(i32.geU, f.get(length), f.i32(STRIDE)), () => {
    multiplyVectors(f, { sum, by, byFive, low, high });
    const rows = [0, 1, 2, 3].map((n) => f.memory(v128.load, BLOCK * n, f.get(data)));
    transpose(f, rows, turned).forEach((word, i) => f.set(words[i]!, word));
    splitWords(f, words).forEach((limb, i) => {
      f.set(sum[i]!, f.vector(i32x4.add, f.get(sum[i]!), limb));
    });
    advance(f, data, length, STRIDE);
  });
  weigh((i) => f.memory(v128.load, BLOCK * i, f.get(scratch)));
  multiplyVectors(f, { sum, by, byFive, low, high });
  for (const i of LIMBS) {
    const lanes = [0, 1, 2, 3].map((n) => f.op(i64.fromI32, f.lane(f.get(sum[i]!), n)));
    f.set(h[i]!, lanes.reduce((total, lane) => f.op(i64.add, total, lane)));
  }
  carry(f, h);
}

/** Four 32-bit words of each block → five limbs, bit 128 set. */
function splitWords(f: FunctionBuilder, words: Local[]): Push[] {
  const [a, b, c, d] = words.map((word) => f.get(word)) as [Push, Push, Push, Push];
  const mask = f.constant([MASK, MASK, MASK, MASK]);
  const right = (value: Push, bits: number) => f.vector(i32x4.shrU, value, f.i32(bits));
  const left = (value: Push, bits: number) => f.vector(i32x4.shl, value, f.i32(bits));
  const limb = (value: Push) => f.vector(v128.and, value, mask);
  const top = 1 << 24;
  return [
    limb(a),
    limb(f.vector(v128.or, right(a, 26), left(b, 6))),
    limb(f.vector(v128.or, right(b, 20), left(c, 12))),
    limb(f.vector(v128.or, right(c, 14), left(d, 18))),
    f.vector(v128.or, right(d, 8), f.constant([top, top, top, top])),
  ];
}

interface Product {
  sum: Local[];
  by: Local[];
  byFive: Local[];
  low: Local[];
  high: Local[];
}

/** sum = sum · by in each lane; 64-bit products of lanes 0 and 1 in `low`, of 2 and 3 in `high`. */
function multiplyVectors(f: FunctionBuilder, { sum, by, byFive, low, high }: Product): void {
  for (const [half, extmul] of [[low, i64x2.extmulLowU], [high, i64x2.extmulHighU]] as const) {
    for (const k of LIMBS) {
      const products = terms(k).map(({ i, j, wraps }) =>
        f.vector(extmul, f.get(sum[i]!), f.get((wraps ? byFive : by)[j]!))
      );
      f.set(half[k]!, products.reduce((total, product) => f.vector(i64x2.add, total, product)));
    }
  }
  const mask = f.constant([MASK, 0, MASK, 0]);
  // Two chains at once, so that one need not wait for the other.
  for (const [i, wrap] of [[0], [3], [1], [4, 5], [2], [0], [3]] as [number, number?][]) {
    for (const half of [low, high]) {
      const over = f.vector(i64x2.shrU, f.get(half[i]!), f.i32(LIMB));
      const next = half[(i + 1) % 5]!;
      f.set(next, f.vector(i64x2.add, f.get(next), over));
      if (wrap) {
        const four = f.vector(i64x2.shl, over, f.i32(2));
        f.set(next, f.vector(i64x2.add, f.get(next), four));
      }
      f.set(half[i]!, f.vector(v128.and, f.get(half[i]!), mask));
    }
  }
  for (const i of LIMBS) f.set(sum[i]!, f.shuffle(f.get(low[i]!), f.get(high[i]!), LOW_WORDS));
}

interface Finish {
  h: Number130;
  g: Number130;
  key: Local;
  out: Local;
}

/** h mod 2^130 - 5, plus the key's second half, mod 2^128; no branch depends on h. */
function finish(f: FunctionBuilder, { h, g, key, out }: Finish): void {
  carry(f, h);
  const bits = (value: Push, count: number) => f.op(i64.shrU, value, f.i64(BigInt(count)));
  const left = (value: Push, count: number) => f.op(i64.shl, value, f.i64(BigInt(count)));
  // g = h + 5 - 2^130: what h is modulo p if that is not negative.
  for (const i of LIMBS) {
    const carried = i === 0 ? f.i64(5n) : bits(f.get(g[i - 1]!), LIMB);
    f.set(g[i]!, f.op(i64.add, f.get(h[i]!), carried));
    if (i > 0) f.set(g[i - 1]!, f.op(i64.and, f.get(g[i - 1]!), f.i64(BigInt(MASK))));
  }
  f.set(g[4]!, f.op(i64.sub, f.get(g[4]!), f.i64(1n << 26n)));
  const negative = f.local(TYPE.i64);
  f.set(negative, f.op(i64.shrS, f.get(g[4]!), f.i64(63n)));
  for (const i of LIMBS) {
    // g ^ ((g ^ h) & negative): h if g is negative, else g.
    const differ = f.op(i64.xor, f.get(g[i]!), f.get(h[i]!));
    const chosen = f.op(i64.and, differ, f.get(negative));
    f.set(h[i]!, f.op(i64.xor, f.get(g[i]!), chosen));
  }
  const [h0, h1, h2, h3, h4] = h.map((limb) => f.get(limb)) as [...[Push, Push, Push, Push, Push]];
  const or = (a: Push, b: Push) => f.op(i64.or, a, b);
  const low = f.local(TYPE.i64);
  const sum = f.local(TYPE.i64);
  f.set(low, or(or(h0, left(h1, 26)), left(h2, 52)));
  f.set(sum, f.op(i64.add, f.get(low), f.scalar(i64.load, 16, f.get(key))));
  f.scalar(i64.store, 0, f.get(out), f.get(sum))();
  const carried = f.op(i64.fromI32, f.op(i64.ltU, f.get(sum), f.get(low)));
  const upper = or(or(bits(h2, 12), left(h3, 14)), left(h4, 40));
  const second = f.op(i64.add, upper, f.scalar(i64.load, 24, f.get(key)));
  f.scalar(i64.store, 8, f.get(out), f.op(i64.add, second, carried))();
}
