/** The link's state as OpenMetrics. Loaded at the first scrape: most gateways never see one. */
import process from "node:process";
import prometheus from "prom-client";
import type { LinkSnapshot, LinkState } from "../link/state.ts";
import { VERSION } from "../version.ts";

const { Counter, Gauge, Registry } = prometheus;

type OpenMetricsRegistry = prometheus.Registry<prometheus.OpenMetricsContentType>;
/** The type that comes with the library knows no arguments of its constructor. */
const OpenMetrics = Registry as unknown as new (type: string) => OpenMetricsRegistry;

const PHASES = ["starting", "connecting", "up", "draining", "down"] as const;

/** A text for Prometheus. */
export interface Exposition {
  contentType: string;
  body: string;
}

/** Values by label value; under "" that of a metric without labels. Missing ones are not exposed. */
type Reading = Record<string, number | undefined>;

/** One metric: what it is called, and what it reads from a state. */
interface Definition {
  kind: "counter" | "gauge";
  name: string;
  help: string;
  label?: string;
  read(link: LinkSnapshot): Reading;
}

const DEFINITIONS: readonly Definition[] = [
  gauge("sallyport_build_info", "The program's version.", () => ({ [VERSION]: 1 }), "version"),
  gauge("sallyport_tunnel_up", "1 while traffic can pass.", ({ phase }) => one(+(phase === "up"))),
  gauge(
    "sallyport_tunnel_phase",
    "1 for the phase that the link is in.",
    ({ phase }) => Object.fromEntries(PHASES.map((name) => [name, +(name === phase)])),
    "phase",
  ),
  gauge(
    "sallyport_tunnel_phase_start_timestamp_seconds",
    "Since when the link is in its phase.",
    ({ since }) => one(seconds(since)),
  ),
  counter(
    "sallyport_reconnects_total",
    "How often the tunnel came up again.",
    ({ reconnects }) => one(reconnects),
  ),
  gauge("sallyport_channels_open", "Channels open now.", ({ channels }) => one(channels.open)),
  counter(
    "sallyport_channels_total",
    "Channels that are over.",
    ({ channels: { served, failed } }) => ({ served, failed }),
    "outcome",
  ),
  counter(
    "sallyport_targets_refused_total",
    "Addresses that the target policy refused.",
    ({ channels }) => one(channels.refused),
  ),
  counter(
    "sallyport_bytes_total",
    "Bytes carried to and from targets.",
    ({ channels }) => ({ to_target: channels.bytesIn, from_target: channels.bytesOut }),
    "direction",
  ),
  gauge(
    "sallyport_relay_latency_seconds",
    "Round trip to the relay.",
    ({ latency }) => one(latency === undefined ? undefined : latency / 1000),
  ),
  gauge(
    "sallyport_certificate_expiry_timestamp_seconds",
    "When the newest certificates end.",
    ({ certificatesEnd }) => one(seconds(certificatesEnd)),
  ),
  gauge(
    "sallyport_certificate_renewal_timestamp_seconds",
    "When they are to be renewed.",
    ({ nextRenewal }) => one(seconds(nextRenewal)),
  ),
  gauge(
    "sallyport_heartbeat_timestamp_seconds",
    "When the platform last took a heartbeat.",
    ({ heartbeat }) => one(seconds(heartbeat)),
  ),
  gauge(
    "sallyport_last_error_timestamp_seconds",
    "When something last went wrong, and what.",
    ({ lastError }) => lastError ? { [lastError.code]: seconds(lastError.at) } : {},
    "code",
  ),
  gauge(
    "process_resident_memory_bytes",
    "Memory of the process.",
    () => one(process.memoryUsage().rss),
  ),
  gauge(
    "process_start_time_seconds",
    "When the process started.",
    () => one(Math.round(performance.timeOrigin) / 1000),
  ),
];

/** Gives what a scrape is answered; values are read at that time. */
export function metricsOf(state: Pick<LinkState, "snapshot">): () => Promise<Exposition> {
  const registry: OpenMetricsRegistry = new OpenMetrics(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const definition of DEFINITIONS) register(registry, definition, state);
  return async () => ({ contentType: registry.contentType, body: await registry.metrics() });
}

function register(
  registry: OpenMetricsRegistry,
  { kind, name, help, label, read }: Definition,
  state: Pick<LinkState, "snapshot">,
): void {
  const labelNames = label === undefined ? [] : [label];
  const readings = () =>
    Object.entries(read(state.snapshot))
      .filter((entry): entry is [string, number] => entry[1] !== undefined)
      .map(([value, number]) => [label === undefined ? {} : { [label]: value }, number] as const);
  const shared = { name, help, labelNames, registers: [registry] };
  if (kind === "counter") {
    new Counter({
      ...shared,
      collect() {
        this.reset();
        for (const [labels, value] of readings()) this.inc(labels, value);
      },
    });
  } else {
    new Gauge({
      ...shared,
      collect() {
        this.reset();
        // What was never set would else be exposed as 0.
        if (label === undefined) this.remove();
        for (const [labels, value] of readings()) this.set(labels, value);
      },
    });
  }
}

function gauge(
  name: string,
  help: string,
  read: Definition["read"],
  label?: string,
): Definition {
  return { kind: "gauge", name, help, read, label };
}

function counter(
  name: string,
  help: string,
  read: Definition["read"],
  label?: string,
): Definition {
  return { kind: "counter", name, help, read, label };
}

function one(value: number | undefined): Reading {
  return { "": value };
}

function seconds(date: Date | undefined): number | undefined {
  return date === undefined ? undefined : date.getTime() / 1000;
}
