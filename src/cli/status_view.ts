/** The live view of a gateway: what stands on a terminal at one moment. Pure. */
import type { GatewayHealth } from "../health/client.ts";
import { MOST_SAMPLES, SAMPLE_EVERY } from "../health/history.ts";
import type { GatewayStatus, ThroughputSample } from "../health/schema.ts";
import { eventLine, formatBytes, headline, layOut, rowsOf } from "./status_text.ts";

/** How it may be shown. */
export interface ViewOptions {
  columns: number;
  rows: number;
  colour: boolean;
}

/** What is known at that moment. */
export interface Sight {
  /** The last answer. */
  health: GatewayHealth | undefined;
  /** Why there is none now. */
  silence: string | undefined;
  /** Bytes a second since the answer before. */
  rate: { in: number; out: number } | undefined;
}

type Style = "good" | "waits" | "bad" | "quiet" | "strong";

const CODES: Record<Style, number> = { good: 32, waits: 33, bad: 31, quiet: 2, strong: 1 };
const BARS = " ▁▂▃▄▅▆▇█";
/** No part of a plot is shorter than the time between two samples. */
const WIDEST_PLOT = 90;

/** The lines of the view; never more or longer than the terminal's. */
export function viewLines(sight: Sight, options: ViewOptions): string[] {
  return content(sight, options)
    .slice(0, Math.max(1, options.rows - 1))
    .map(([text, style]) => {
      const shown = cut(text, options.columns);
      return options.colour && style ? `\x1b[${CODES[style]}m${shown}\x1b[0m` : shown;
    });
}

type Line = readonly [text: string, style?: Style];

function content({ health, silence, rate }: Sight, { columns }: ViewOptions): Line[] {
  const end: Line = ["Ctrl-C ends this view", "quiet"];
  if (!health) return [[`● ${silence ?? "asking"}`, silence ? "bad" : "waits"], [""], end];
  const { status, history } = health;
  const head: Line[] = silence === undefined
    ? [[`● ${headline(health)}`, styleOf(status)]]
    : [[`● ${silence}`, "bad"], [`  last heard: ${headline(health)}`, "quiet"]];
  const rows = rowsOf(health).map((row): [string, ...string[]] =>
    row[0] === "carried" && rate
      ? [...row, `${formatBytes(rate.in)}/s to targets, ${formatBytes(rate.out)}/s from targets`]
      : [...row]
  );
  const width = Math.max(10, Math.min(columns - 4, WIDEST_PLOT));
  const now = Date.parse(history.now);
  return [
    ...head,
    [""],
    ...layOut(rows).map((line): Line => [line]),
    [""],
    ...plot("to targets", history.throughput, "in", { width, now }),
    ...plot("from targets", history.throughput, "out", { width, now }),
    [""],
    end,
    [""],
    ["  recent events (UTC)", "strong"],
    ...history.events.map((event): Line => [`  ${eventLine(event)}`]),
  ];
}

function plot(
  title: string,
  samples: readonly ThroughputSample[],
  way: "in" | "out",
  { width, now }: { width: number; now: number },
): Line[] {
  const { bars, top } = sparkline(samples, way, width, now);
  return [
    [`  ${title}, 15 minutes, up to ${formatBytes(top)}/s`, "quiet"],
    [`  ${bars}`],
  ];
}

/** The largest rate in each of `width` equal parts of the last 15 minutes, as bars. */
export function sparkline(
  samples: readonly ThroughputSample[],
  way: "in" | "out",
  width: number,
  now: number,
): { bars: string; top: number } {
  const part = MOST_SAMPLES * SAMPLE_EVERY / width;
  const highest = new Array<number>(width).fill(0);
  for (const sample of samples) {
    const at = width - 1 - Math.floor((now - Date.parse(sample.at)) / part);
    if (at >= 0 && at < width) highest[at] = Math.max(highest[at]!, sample[way]);
  }
  const top = Math.max(...highest);
  const bars = highest.map((rate) =>
    BARS[rate === 0 ? 0 : Math.max(1, Math.round(rate / top * (BARS.length - 1)))]
  );
  return { bars: bars.join(""), top };
}

function styleOf({ phase }: GatewayStatus): Style {
  if (phase === "up") return "good";
  return phase === "down" ? "bad" : "waits";
}

function cut(text: string, columns: number): string {
  // What a peer said must not move the cursor.
  // deno-lint-ignore no-control-regex
  const plain = text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ");
  return plain.length > columns ? `${plain.slice(0, Math.max(0, columns - 1))}…` : plain;
}
