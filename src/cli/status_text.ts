/** A gateway's health in words and numbers, for people. Pure. */
import { formatDuration } from "../folding.ts";
import type { GatewayHealth } from "../health/client.ts";
import type { HistoryEvent } from "../health/schema.ts";

/** A label and what is to be said under it, in one line or more. */
export type Row = readonly [label: string, ...lines: string[]];

/** The state in one sentence. */
export function headline({ status }: GatewayHealth): string {
  return `${status.gateway}: ${status.reason}, for ${formatDuration(status.for * 1000)}`;
}

/** What there is to know beside it. */
export function rowsOf({ status, history }: GatewayHealth): Row[] {
  const { relay, latency, channels, bytes, certificatesEnd, nextRenewal, lastError } = status;
  const now = Date.parse(history.now);
  const ago = (moment: string) => `${formatDuration(now - Date.parse(moment))} ago`;
  const rows: (Row | undefined)[] = [
    relay && [
      "relay",
      (relay.name === undefined ? relay.address : `${relay.name} at ${relay.address}`) +
      (latency === undefined ? "" : `, ${latency} ms away`),
    ],
    [
      "channels",
      `${channels.open} open, ${channels.served} served, ${channels.failed} failed`,
    ],
    [
      "carried",
      `${formatBytes(bytes.in)} to targets, ${formatBytes(bytes.out)} from targets`,
    ],
    ["reconnects", String(status.reconnects)],
    certificatesEnd === undefined ? undefined : [
      "certificates",
      `end ${ahead(certificatesEnd, now)}` +
      (nextRenewal === undefined ? "" : `, to be renewed ${ahead(nextRenewal, now)}`),
    ],
    ["heartbeat", status.heartbeat === undefined ? "none yet" : ago(status.heartbeat)],
    lastError && [
      "last error",
      `${ago(lastError.at)}: ${lastError.message}`,
      ...(lastError.hint === undefined ? [] : [lastError.hint]),
    ],
    ["version", status.version],
  ];
  return rows.filter((row): row is Row => row !== undefined);
}

/** Rows under each other, their labels in a column. */
export function layOut(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.flatMap(([label, ...lines]) =>
    lines.map((line, index) => `  ${(index === 0 ? label : "").padEnd(width)}${line}`)
  );
}

/** One event in one line, without its hint. */
export function eventLine({ at, text, times }: HistoryEvent): string {
  const again = times > 1 ? ` (${times} times)` : "";
  return `${at.slice(0, 19).replace("T", " ")}  ${text}${again}`;
}

/** For example `812 B`, `4.2 kB`, `38 MB`. */
export function formatBytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; count >= 999.5 && unit < units.length - 1; unit++) count /= 1000;
  return `${count < 9.95 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

function ahead(moment: string, now: number): string {
  const left = Date.parse(moment) - now;
  return left > 0 ? `in ${formatDuration(left)}` : `${formatDuration(-left)} ago`;
}
