/** The table of a benchmark. */

/** What is measured, as the table tells it. */
export interface Subject {
  name: string;
  unit: string;
  goal: string;
  met(figures: { ours: number; ratio: number }): boolean;
}

/** One row. */
export interface Result {
  name: string;
  unit: string;
  ours: number;
  theirs: number;
  ratio: number;
  goal: string;
  met: boolean;
}

/** A row of two figures. */
export function resultOf(subject: Subject, ours: number, theirs: number): Result {
  const { name, unit, goal } = subject;
  const ratio = ours / theirs;
  return { name, unit, ours, theirs, ratio, goal, met: subject.met({ ours, ratio }) };
}

/** The middle one. */
export function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Prints a row, the first one with the table's head. */
export function print(
  { name, unit, ours, theirs, ratio, goal, met }: Result,
  first: boolean,
): void {
  const line = (...columns: [string, string, string, string]) =>
    columns.map((text, i) => i === 0 ? text.padEnd(34) : text.padStart(i === 3 ? 8 : 18)).join("");
  const figure = (n: number) =>
    Number.isNaN(n) ? "-" : n.toPrecision(4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  if (first) console.log(line("", "ours", "lab", "ratio"));
  const row = line(name, `${figure(ours)} ${unit}`, `${figure(theirs)} ${unit}`, figure(ratio));
  console.log(`${row}  ${met ? "met " : "SHORT"} ${goal}`);
}
