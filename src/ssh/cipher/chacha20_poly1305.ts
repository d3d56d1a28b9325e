/** ChaCha20 and Poly1305 in one loop: the one works in the vector units, the other in the plain ones. */
import { FunctionBuilder, type Local, OP, TYPE } from "./assembler.ts";
import { FourBlocks, QUARTER_ROUNDS, STRIDE } from "./chacha20.ts";
import { Sum } from "./poly1305.ts";

const { i32 } = OP;

/** Poly1305 blocks in a stride. */
const BLOCKS = STRIDE / 16;
/** Quarter rounds that stand beside one Poly1305 block. */
const BESIDE = QUARTER_ROUNDS / BLOCKS;

/**
 * `both(key, nonce, counter, data, length, oneTimeKey, summed, sum)`: as `chacha20` for `length` bytes, whole
 * strides, at address `data`, and as `poly1305` for as many bytes at address `summed`. Of each stride
 * these are read before that of `data` is written.
 */
export function both(): FunctionBuilder {
  const f = new FunctionBuilder("both", Array(8).fill(TYPE.i32));
  const [key, nonce, counter, data, length, oneTimeKey, summed, at] = [0, 1, 2, 3, 4, 5, 6, 7]
    .map((n) => f.parameter(n)) as [Local, Local, Local, Local, Local, Local, Local, Local];
  const blocks = new FourBlocks(f, key, nonce, counter);
  const sum = new Sum(f, oneTimeKey, at);
  f.while(f.get(length), () => {
    let steps: (() => void)[] = [];
    blocks.change(data, (n) => {
      if (n % BESIDE === 0) steps = sum.block(summed, 16 * (n / BESIDE), 1n);
      // As evenly as it goes: eight steps beside five quarter rounds.
      const until = Math.ceil(8 * (n % BESIDE + 1) / BESIDE);
      while (steps.length > 8 - until) steps.shift()!();
    });
    f.set(data, f.op(i32.add, f.get(data), f.i32(STRIDE)));
    f.set(summed, f.op(i32.add, f.get(summed), f.i32(STRIDE)));
    f.set(length, f.op(i32.sub, f.get(length), f.i32(STRIDE)));
  });
  sum.store();
  return f;
}
