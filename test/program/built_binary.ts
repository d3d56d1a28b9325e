/** The compiled binary of this machine. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runChild } from "../child.ts";
import { denortPath, ROOT } from "../requirements.ts";

export const BINARY = join(ROOT, "dist", "sallyport");

let built: Promise<void> | undefined;

/** Builds it, once a test file; needs the requirement "denort". */
export function build(): Promise<void> {
  return built ??= buildIn(ROOT);
}

/** Builds it in a copy of the project. */
export async function buildIn(root: string): Promise<void> {
  const { status, err } = await runChild(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", join(root, "scripts", "build.ts")],
    env: { DENORT_BIN: await denortPath() },
  });
  assert.equal(status, 0, err);
}
