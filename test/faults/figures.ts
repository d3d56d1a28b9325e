/** What the suite measured, for the table in docs/reliability.md (scripts/test_faults.ts). */
import { appendFileSync } from "node:fs";
import process from "node:process";

/** Where figures go. */
export const FIGURES = "SALLYPORT_TEST_FIGURES";

/** One line of the table. */
export interface Figure {
  fault: string;
  result: string;
}

/** Notes a measured figure; without a place to note it in, nothing happens. */
export function figure(fault: string, result: string): void {
  const path = process.env[FIGURES];
  if (path) appendFileSync(path, `${JSON.stringify({ fault, result } satisfies Figure)}\n`);
}

/** Whether the long forms run too. */
export const long = process.env.SALLYPORT_TEST_LONG === "1";

/** `1,234 ms` */
export function ms(value: number): string {
  return `${Math.round(value).toLocaleString("en")} ms`;
}
