/** Lines of ours in somebody's crontab, between two markers; the rest is left as it is. Pure. */

function markers(id: string): [begin: string, end: string] {
  return [`# BEGIN ${id}`, `# END ${id}`];
}

/** `table` with `lines` of the service `id`, in place of those that it had. */
export function withBlock(table: string, id: string, lines: readonly string[]): string {
  const rest = withoutBlock(table, id);
  const [begin, end] = markers(id);
  return [endLine(rest), begin, "\n", ...lines.map((line) => `${line}\n`), end, "\n"].join("");
}

/** `table` without the lines of the service `id`. */
export function withoutBlock(table: string, id: string): string {
  const [begin, end] = markers(id);
  const lines = table.split("\n");
  const from = lines.indexOf(begin);
  const to = lines.indexOf(end, from);
  if (from === -1 || to === -1) return table;
  lines.splice(from, to - from + 1);
  return lines.join("\n");
}

function endLine(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
