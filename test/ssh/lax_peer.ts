/** Peers as they were before strict key exchanges: ssh2's, and ours made to forget its own promise. */
// First, as in the program: ssh2 must not be loaded before the seams are in place.
import "../../src/ssh/internals/transport.ts";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import { ALGORITHMS, type Algorithms } from "../../src/ssh/algorithms.ts";

const isPromise = (name: string) => name.startsWith("kex-strict-");

/** Lists to which ssh2 adds no promise of strictness, as it does to all others. */
export function laxAlgorithms(algorithms: Partial<Algorithms> = {}): Algorithms {
  const kex = [...algorithms.kex ?? ALGORITHMS.kex];
  const concat = (more: string[]) => [...kex, ...more.filter((name) => !isPromise(name))];
  return { ...ALGORITHMS, ...algorithms, kex: Object.assign(kex, { concat }) };
}

/** Until it is disposed of, every transport of one role takes its peer's promise for a name like others. */
export function laxTransports(role: "client" | "server"): Disposable {
  const { prototype } = Protocol as unknown as { prototype: object };
  const values = new WeakMap<object, unknown>();
  Object.defineProperty(prototype, "_strictMode", {
    configurable: true,
    get(this: { _server: boolean }) {
      return this._server === (role === "server") ? false : values.get(this);
    },
    set(value) {
      values.set(this, value);
    },
  });
  return {
    [Symbol.dispose]() {
      delete (prototype as { _strictMode?: unknown })._strictMode;
    },
  };
}
