/** A strict reader of OpenMetrics 1.0, as far as gauges and counters go: whatever is loose, throws. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\[\\\\"n])*)"';
const NUMBER = "(?:[+-]?(?:\\d+(?:\\.\\d*)?|\\.\\d+)(?:[eE][+-]?\\d+)?)";

/** Reads a whole exposition. */
export function parseOpenMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("\n# EOF\n") && text !== "# EOF\n") {
    throw new Error("it does not end in # EOF");
  }
  if (text.includes("\r")) throw new Error("a carriage return");
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let family: Family | undefined;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const meta = /^# (HELP|TYPE|UNIT) (\S+) (.+)$/.exec(line);
    if (meta) {
      const [, what, name, rest] = meta as unknown as [string, string, string, string];
      if (family?.name !== name) {
        if (families.has(name)) throw new Error(`${name} comes in two parts`);
        family = { name, type: "", help: "", samples: [] };
        families.set(name, family);
      }
      if (family.samples.length > 0) throw new Error(`${what} of ${name} behind its samples`);
      if (what === "TYPE") family.type = once(family.type, rest, line);
      if (what === "HELP") family.help = once(family.help, rest, line);
      continue;
    }
    const sample = parseSample(line);
    if (!family) throw new Error(`no metric for: ${line}`);
    const expected = { counter: `${family.name}_total`, gauge: family.name }[family.type];
    if (sample.name !== expected) throw new Error(`no sample of ${family.name}: ${line}`);
    if (family.type === "counter" && !(sample.value >= 0)) throw new Error(`negative: ${line}`);
    const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (series.has(key)) throw new Error(`twice: ${line}`);
    series.add(key);
    family.samples.push(sample);
  }
  for (const { name, type, help } of families.values()) {
    if (!new RegExp(`^${NAME}$`).test(name)) throw new Error(`not a name: ${name}`);
    if (!["counter", "gauge"].includes(type)) throw new Error(`type of ${name}: ${type}`);
    if (help === "") throw new Error(`no help for ${name}`);
    if (name.endsWith("_total")) throw new Error(`${name} is called like one of its samples`);
  }
  return families;
}

function once(before: string, now: string, line: string): string {
  if (before !== "") throw new Error(`twice: ${line}`);
  return now;
}

function parseSample(line: string): Sample {
  const match = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (${NUMBER})$`).exec(
    line,
  );
  if (!match) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  for (const [, name, value] of (match[2] ?? "").matchAll(new RegExp(LABEL, "g"))) {
    if (name! in labels) throw new Error(`label ${name} twice: ${line}`);
    labels[name!] = value!.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
  }
  return { name: match[1]!, labels, value: Number(match.at(-1)) };
}
