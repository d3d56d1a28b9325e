import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError } from "../../src/errors.ts";
import { healthApp } from "../../src/health/app.ts";
import { metricsOf } from "../../src/health/metrics.ts";
import { LinkState } from "../../src/link/state.ts";
import { VERSION } from "../../src/version.ts";
import { ROOT } from "../requirements.ts";
import { parseOpenMetrics } from "./open_metrics.ts";

const START = Date.UTC(2030, 0, 1);

async function scrape(state: LinkState) {
  const { body } = await metricsOf(state)();
  const families = parseOpenMetrics(body);
  const all = [...families.values()].flatMap(({ samples }) => samples);
  return {
    families,
    value: (name: string, labels: Record<string, string> = {}) =>
      all.find((sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
      )?.value,
    of: (name: string) => all.filter((sample) => sample.name === name),
  };
}

Deno.test("metrics tell the link's state, in OpenMetrics without a flaw", async () => {
  const state = new LinkState("edge", () => START);
  state.measureBy({
    channels: () => ({ open: 3, served: 7, failed: 1, refused: 2, bytesIn: 1e15, bytesOut: 2000 }),
    latency: () => 12.5,
  });
  state.fault(new SallyportError("relay-unreachable", "refused"));
  state.update({
    phase: "up",
    reconnects: 2,
    certificatesEnd: new Date(START + 1000),
    nextRenewal: new Date(START + 500),
    heartbeat: new Date(START + 250),
  });
  const { value, of, families } = await scrape(state);
  assert.equal(value("sallyport_build_info", { version: VERSION }), 1);
  assert.equal(value("sallyport_tunnel_up"), 1);
  assert.deepEqual(
    of("sallyport_tunnel_phase").filter((s) => s.value === 1).map((s) => s.labels.phase),
    ["up"],
  );
  assert.equal(value("sallyport_tunnel_phase_start_timestamp_seconds"), START / 1000);
  assert.equal(value("sallyport_reconnects_total"), 2);
  assert.equal(value("sallyport_channels_open"), 3);
  assert.equal(value("sallyport_channels_total", { outcome: "served" }), 7);
  assert.equal(value("sallyport_targets_refused_total"), 2);
  assert.equal(value("sallyport_channels_total", { outcome: "failed" }), 1);
  assert.equal(value("sallyport_bytes_total", { direction: "to_target" }), 1e15);
  assert.equal(value("sallyport_bytes_total", { direction: "from_target" }), 2000);
  assert.equal(value("sallyport_relay_latency_seconds"), 0.0125);
  assert.equal(value("sallyport_certificate_expiry_timestamp_seconds"), START / 1000 + 1);
  assert.equal(value("sallyport_certificate_renewal_timestamp_seconds"), START / 1000 + 0.5);
  assert.equal(value("sallyport_heartbeat_timestamp_seconds"), START / 1000 + 0.25);
  assert.equal(
    value("sallyport_last_error_timestamp_seconds", { code: "relay-unreachable" }),
    START / 1000,
  );
  assert.ok(value("process_resident_memory_bytes")! > 1e6);
  assert.ok(Math.abs(value("process_start_time_seconds")! - Date.now() / 1000) < 3600);
  assert.equal(families.get("sallyport_reconnects")?.type, "counter");
});

Deno.test("what is not known is not exposed, and what was is forgotten", async () => {
  const state = new LinkState("edge", () => START);
  let latency: number | undefined = 5;
  state.measureBy({
    channels: () => ({ open: 0, served: 0, failed: 0, refused: 0, bytesIn: 0, bytesOut: 0 }),
    latency: () => latency,
  });
  const metrics = metricsOf(state);
  const has = async (name: string) => {
    const found = parseOpenMetrics((await metrics()).body).get(name);
    return (found?.samples.length ?? 0) > 0;
  };
  for (const name of ["relay_latency", "certificate_expiry_timestamp", "heartbeat_timestamp"]) {
    assert.equal(await has(`sallyport_${name}_seconds`), false, name);
  }
  state.update({ phase: "up" });
  assert.equal(await has("sallyport_relay_latency_seconds"), true);
  latency = undefined;
  assert.equal(await has("sallyport_relay_latency_seconds"), false);
});

Deno.test("counters go on from one scrape to the next, and say so by their content type", async () => {
  const state = new LinkState("edge");
  const history = { all: { now: "", events: [], throughput: [] }, errors: () => [] };
  const app = healthApp({ state, history, address: { host: "127.0.0.1", port: 1 } });
  for (const reconnects of [0, 1, 4]) {
    state.update({ reconnects });
    const response = await app.request("/metrics");
    assert.equal(
      response.headers.get("content-type"),
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    const families = parseOpenMetrics(await response.text());
    assert.equal(families.get("sallyport_reconnects")?.samples[0]?.value, reconnects);
  }
});

Deno.test("every metric is in the documentation, and no other", async () => {
  const { families } = await scrape(new LinkState("edge"));
  const names = [...families.values()]
    .map(({ name, type }) => type === "counter" ? `${name}_total` : name);
  const docs = await readFile(join(ROOT, "docs", "operate.md"), "utf8");
  const documented = [...docs.matchAll(/^\| `(\w+)(?:\{\w+\})?` +\|/gm)].map(([, name]) => name);
  assert.deepEqual(documented.sort(), names.sort());
});

Deno.test("the reader that judges is strict", () => {
  const good = "# HELP a A.\n# TYPE a counter\na_total 1\n# EOF\n";
  assert.equal(parseOpenMetrics(good).get("a")?.samples[0]?.value, 1);
  for (
    const bad of [
      good.replace("# EOF\n", ""),
      good.replace("a_total", "a"),
      good.replace("# TYPE a counter\n", ""),
      good.replace("# HELP a A.\n", ""),
      good.replace("1\n", "1\na_total 1\n"),
      good.replace("1\n", "1 \n"),
      good.replace(" 1", " NaN"),
      good.replace("a_total", 'a_total{x="\\q"}'),
      good.replace("a_total", 'a_total{x="1",x="2"}'),
      good.replace("1\n", "1\n\n"),
    ]
  ) {
    assert.throws(() => parseOpenMetrics(bad), Error, bad);
  }
});
