/**
 * The memory of another process, as its operator reads it (Linux: proc(5), /proc/pid/mem and pagemap).
 * Whoever may trace a process may do that: root, or the process that started it.
 */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const PAGE = 4096;
/** A page's entry in pagemap, bytes, and the bits of its last byte that say that there is such a page. */
const ENTRY = 8;
const PRESENT_OR_SWAPPED = 0xc0;

/**
 * All that a process can write to and has written to, in pieces that are connected. A piece is valid
 * until the next one.
 */
export function* memoryOf(pid: number): Generator<Buffer> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const pagemap = openSync(`/proc/${pid}/pagemap`, "r");
  let into = Buffer.alloc(0);
  try {
    for (const region of regionsOf(pid)) {
      for (const { from, to } of usedPages(pagemap, region)) {
        if (to - from > into.length) into = Buffer.alloc(to - from);
        const length = read(memory, into, to - from, from);
        if (length > 0) yield into.subarray(0, length);
      }
    }
  } finally {
    closeSync(pagemap);
    closeSync(memory);
  }
}

/** Whether the memory of a child of this process can be read here. */
export function readsMemoryOf(pid: number): boolean {
  try {
    return memoryOf(pid).next().done === false;
  } catch {
    return false;
  }
}

interface Range {
  from: number;
  to: number;
}

function regionsOf(pid: number): Range[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  return lines.flatMap((line) => {
    const [, from, to, rights] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
    if (!rights?.startsWith("rw")) return [];
    return [{ from: parseInt(from!, 16), to: parseInt(to!, 16) }];
  });
}

/** Most of what a process may use it has never touched. */
function usedPages(pagemap: number, { from, to }: Range): Range[] {
  const entries = Buffer.alloc((to - from) / PAGE * ENTRY);
  const have = read(pagemap, entries, entries.length, from / PAGE * ENTRY);
  const used: Range[] = [];
  for (let at = 0; at + ENTRY <= have; at += ENTRY) {
    if ((entries[at + ENTRY - 1]! & PRESENT_OR_SWAPPED) === 0) continue;
    const page = from + at / ENTRY * PAGE;
    const last = used.at(-1);
    if (last?.to === page) last.to += PAGE;
    else used.push({ from: page, to: page + PAGE });
  }
  return used;
}

/** Bytes read; what the process has given back meanwhile is none. */
function read(file: number, into: Buffer, length: number, position: number): number {
  let got = 0;
  while (got < length) {
    try {
      const count = readSync(file, into, got, length - got, position + got);
      if (count === 0) break;
      got += count;
    } catch (error) {
      if (["EIO", "EFAULT"].includes((error as { code?: string }).code ?? "")) break;
      throw error;
    }
  }
  return got;
}
