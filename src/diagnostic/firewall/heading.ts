/** What stands above the rules in a script or file. Pure. */
import type { Policy } from "./policy.ts";

/** How the rules come into force and go again. */
export interface Handling {
  load: string;
  undo: string;
}

/** Comment lines, each behind `#`. */
export function heading({ madeAt, remarks, warnings }: Policy, { load, undo }: Handling): string[] {
  return [
    `Outbound rules of a sallyport gateway, made at ${madeAt.toISOString()}.`,
    `Load: ${load}`,
    `Undo: ${undo}`,
    ...remarks,
    ...warnings.map((warning) => `Warning: ${warning}`),
  ].map((line) => `# ${line}`);
}
