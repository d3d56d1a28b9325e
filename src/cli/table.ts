/** Rows as text columns, for people. */

/** The named columns of `rows`, aligned, under their names. Missing values show as "-". */
export function table(rows: Record<string, unknown>[], columns: string[]): string {
  const cells = [
    columns.map((column) => column.replace(/[A-Z]/g, (c) => ` ${c}`).toUpperCase()),
    ...rows.map((row) => columns.map((column) => show(row[column]))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells
    .map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd())
    .join("\n");
}

function show(value: unknown): string {
  if (value === undefined || value === null || value === "") return "-";
  return value instanceof Date ? value.toISOString() : String(value);
}
