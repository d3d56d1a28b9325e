/** The commands below a parser, read from what it says of its own usage. Pure. */
import type { Usage } from "@optique/core/usage";

/** Commands directly below `usage`: each with what comes behind its name. */
function commandsIn(usage: Usage): [name: string, behind: Usage][] {
  const [first] = usage;
  if (first?.type === "command") return [[first.name, usage.slice(1)]];
  if (first?.type === "exclusive") return first.terms.flatMap(commandsIn);
  return [];
}

/** The commands that `args` begins with, and what may come behind them. */
export function walk(
  usage: Usage,
  args: readonly string[],
): { commands: readonly string[]; behind: Usage } {
  const commands: string[] = [];
  let behind = usage;
  for (const arg of args) {
    const found = commandsIn(behind).find(([name]) => name === arg);
    if (!found) break;
    commands.push(arg);
    behind = found[1];
  }
  return { commands, behind };
}

/** Whether something is done where no further command is named. */
function isComplete([first]: Usage): boolean {
  if (first?.type === "exclusive") return first.terms.some(isComplete);
  return first?.type !== "command";
}

/** Whether `args` is a command that only groups others, or nothing at all. */
export function isGroup(usage: Usage, args: readonly string[]): boolean {
  const { commands, behind } = walk(usage, args);
  return commands.length === args.length && !isComplete(behind);
}

/** Every command that does something, as the words that name it, in the order of the help. */
export function leaves(usage: Usage): string[][] {
  return commandsIn(usage).flatMap(([name, behind]) => {
    const below = leaves(behind).map((words) => [name, ...words]);
    return isComplete(behind) ? [[name], ...below] : below;
  });
}
