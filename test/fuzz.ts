/** Which cases a property-based fuzz tries: the same in each run of the suite, others in `deno task fuzz`. */
import process from "node:process";

/** Set by scripts/fuzz.ts: what is added to the seeds of a round. */
export const ROUND = "SALLYPORT_FUZZ_ROUND";

/** A failure is made smaller no longer than this, ms. */
const SHRINK_WITHIN = 30_000;

/** Options for `fc.assert`: so many cases, in the suite from a seed of the test's own. */
export function fuzz(numRuns: number, seed: number) {
  const round = Number(process.env[ROUND] ?? 0);
  return { numRuns, seed: seed + round, interruptAfterTimeLimit: SHRINK_WITHIN };
}
