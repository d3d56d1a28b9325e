/**
 * How much a property-based fuzz tries: in the suite the same cases each time, in `deno task fuzz`
 * others in each round, and more of them.
 */
import process from "node:process";

/** Set by scripts/fuzz.ts: what is added to each seed of a round. */
export const SEED = "SALLYPORT_FUZZ_SEED";
/** Set by scripts/fuzz.ts: how many times as many cases there are. */
export const TIMES = "SALLYPORT_FUZZ_TIMES";

/** Options for `fc.assert`: so many cases in the suite, from a seed of the test's own. */
export function fuzz(numRuns: number, seed: number): { numRuns: number; seed: number } {
  const { [SEED]: round = "0", [TIMES]: times = "1" } = process.env;
  return { numRuns: numRuns * Number(times), seed: seed + Number(round) };
}
