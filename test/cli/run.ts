/** Runs the command line inside a test, as main.ts does. */
import { runCli } from "../../src/cli/cli.ts";
import type { CommandContext } from "../../src/cli/context.ts";
import { notePrinted } from "../child.ts";

/** What was printed where, and the exit status. */
export interface Outcome {
  status: number;
  out: string;
  err: string;
}

/** Runs `args`; what a test leaves out is as for a pipe and an empty environment. */
export async function cli(
  args: readonly string[],
  context: Partial<CommandContext> = {},
): Promise<Outcome> {
  let out = "";
  let err = "";
  const status = await runCli(args, {
    out: (text) => out += `${text}\n`,
    err: (text) => err += `${text}\n`,
    env: {},
    signal: new AbortController().signal,
    onReload: () => {},
    ...context,
  });
  notePrinted(args, { out, err });
  return { status, out, err };
}
