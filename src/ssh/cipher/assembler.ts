/**
 * A very small WebAssembly assembler: just what the functions of chacha20.ts and poly1305.ts need,
 * so that their code stands here as readable steps and not as a blob that somebody compiled elsewhere.
 * Opcodes are those of the WebAssembly core specification 2.0, section 5.4 (vector instructions 0xFD).
 */

/** Value types by their encoding. */
export const TYPE = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const;
/** A value type. */
export type ValueType = (typeof TYPE)[keyof typeof TYPE];

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return bytes;
}

/** Signed LEB128. */
function signed(value: bigint): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = Number(value & 0x7fn);
    value >>= 7n;
    if (value === (low & 0x40 ? -1n : 0n)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

/** A local variable, or a parameter, by its index. */
export interface Local {
  readonly index: number;
}

/** Pushes one value on the stack when it is called. */
export type Push = () => void;

/** One function being written. Operands are closures, so that code reads as expressions. */
export class FunctionBuilder {
  readonly code: number[] = [];
  readonly locals: ValueType[] = [];

  constructor(readonly name: string, readonly parameters: readonly ValueType[]) {}

  /** The n-th parameter. */
  parameter(n: number): Local {
    return { index: n };
  }

  /** A new local variable. */
  local(type: ValueType): Local {
    this.locals.push(type);
    return { index: this.parameters.length + this.locals.length - 1 };
  }

  /** Raw bytes of code. */
  emit(...bytes: number[]): void {
    for (const byte of bytes) this.code.push(byte);
  }

  get(local: Local): Push {
    return () => this.emit(0x20, ...unsigned(local.index));
  }

  set(local: Local, value: Push): void {
    value();
    this.emit(0x21, ...unsigned(local.index));
  }

  i32(value: number): Push {
    return () => this.emit(0x41, ...signed(BigInt(value | 0)));
  }

  i64(value: bigint): Push {
    return () => this.emit(0x42, ...signed(BigInt.asIntN(64, value)));
  }

  /** An operation of one byte on values already named, for example `op(0x6a, a, b)` for i32.add. */
  op(opcode: number, ...operands: Push[]): Push {
    return () => {
      for (const operand of operands) operand();
      this.emit(opcode);
    };
  }

  /** A vector operation. */
  vector(opcode: number, ...operands: Push[]): Push {
    return () => {
      for (const operand of operands) operand();
      this.emit(0xfd, ...unsigned(opcode));
    };
  }

  /** A vector operation with a memory operand: loads give a value, stores take one as well. */
  memory(opcode: number, offset: number, address: Push, value?: Push): Push {
    return () => {
      address();
      value?.();
      // Alignment is a hint; 0 makes no promise.
      this.emit(0xfd, ...unsigned(opcode), 0, ...unsigned(offset));
    };
  }

  /** A scalar load, or a store if `value` is given. */
  scalar(opcode: number, offset: number, address: Push, value?: Push): Push {
    return () => {
      address();
      value?.();
      this.emit(opcode, 0, ...unsigned(offset));
    };
  }

  /** Chooses 16 bytes out of two vectors' 32. */
  shuffle(a: Push, b: Push, lanes: readonly number[]): Push {
    return () => {
      a();
      b();
      this.emit(0xfd, 0x0d, ...lanes);
    };
  }

  /** A vector of four 32-bit numbers. */
  constant(words: readonly [number, number, number, number]): Push {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    words.forEach((word, i) => view.setUint32(4 * i, word, true));
    return () => this.emit(0xfd, 0x0c, ...bytes);
  }

  /** Repeats `body` while `condition` holds. */
  while(condition: Push, body: () => void): void {
    this.emit(0x02, 0x40, 0x03, 0x40);
    condition();
    this.emit(0x45, 0x0d, 1);
    body();
    this.emit(0x0c, 0, 0x0b, 0x0b);
  }

  if(condition: Push, body: () => void): void {
    condition();
    this.emit(0x04, 0x40);
    body();
    this.emit(0x0b);
  }

  /** memory.fill with zeros */
  clear(at: Push, length: Push): void {
    at();
    this.i32(0)();
    length();
    this.emit(0xfc, 0x0b, 0);
  }

  /** memory.copy */
  copy(to: Push, from: Push, length: Push): void {
    to();
    from();
    length();
    this.emit(0xfc, 0x0a, 0, 0);
  }
}

/**
 * Instructions by the names of the specification. `relaxedSwizzle` is from its relaxed vector part: with
 * indices below 16, as here, it gives the same everywhere.
 */
export const OP = {
  i32: { add: 0x6a, sub: 0x6b, geU: 0x4f, gtU: 0x4b, store8: 0x3a },
  i64: {
    ...{ add: 0x7c, sub: 0x7d, mul: 0x7e, and: 0x83, or: 0x84, xor: 0x85, shl: 0x86 },
    ...{ shrS: 0x87, shrU: 0x88, ltU: 0x54, fromI32: 0xad, load: 0x29, load32: 0x35, store: 0x37 },
  },
  v128: { load: 0x00, load32Splat: 0x09, store: 0x0b, or: 0x50, xor: 0x51 },
  i8x16: { relaxedSwizzle: 0x100 },
  i32x4: { splat: 0x11, shl: 0xab, shrU: 0xad, add: 0xae },
} as const;

function section(id: number, content: number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function vec(items: number[][]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function text(name: string): number[] {
  return [...unsigned(name.length), ...new TextEncoder().encode(name)];
}

/**
 * A module with `functions`, none of which gives a result, each exported under its name, and one
 * memory of exactly `pages` (64 KiB each), exported as "memory".
 */
export function assemble(functions: readonly FunctionBuilder[], pages: number): Uint8Array {
  const types = functions.map(({ parameters }) => [0x60, ...vec(parameters.map((t) => [t])), 0]);
  const bodies = functions.map(({ locals, code }) => {
    const body = [...vec(locals.map((type) => [1, type])), ...code, 0x0b];
    return [...unsigned(body.length), ...body];
  });
  const exports = [
    [...text("memory"), 2, 0],
    ...functions.map(({ name }, i) => [...text(name), 0, ...unsigned(i)]),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vec(types)),
    ...section(3, vec(functions.map((_, i) => unsigned(i)))),
    ...section(5, vec([[1, ...unsigned(pages), ...unsigned(pages)]])),
    ...section(7, vec(exports)),
    ...section(10, vec(bodies)),
  ]);
}
