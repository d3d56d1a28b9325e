/** What a gateway tells about itself on this host: a small HTTP application over the link's state. */
import { type Context, Hono } from "hono";
import type { LinkState } from "../link/state.ts";
import { redact } from "../log.ts";
import type { HealthAddress } from "./address.ts";
import { refusalOf } from "./guard.ts";
import type { History } from "./history.ts";
import type { Exposition } from "./metrics.ts";
import { readiness } from "./readiness.ts";
import { describeStatus } from "./status.ts";

/** What is shown, and under which names. */
export interface HealthOptions {
  state: Pick<LinkState, "snapshot">;
  history: Pick<History, "all" | "errors">;
  /** Where the application listens: its host is one of the names that it answers to. */
  address: HealthAddress;
  /** ms since 1970 @default Date.now */
  now?: () => number;
}

/** The parts of an answer that keep it from being used elsewhere. */
const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
};

/**
 * `/healthz`, `/livez`: 200 while the process answers. `/readyz`: 200 with a live tunnel, else 503 and
 * why. `/status`, `/history`: JSON. `/metrics`: OpenMetrics. `/`: a page. `/openapi.json` describes
 * them all. Who may ask is said in guard.ts. What few ask for is loaded when somebody does.
 */
export function healthApp({ state, history, address, now = Date.now }: HealthOptions): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const { req } = context;
    const refusal = refusalOf({ method: req.method, header: (name) => req.header(name) }, address);
    if (refusal) {
      const allow = refusal.status === 405 ? { allow: "GET, HEAD" } : undefined;
      return context.text(`${refusal.reason}\n`, refusal.status, allow);
    }
    await next();
    for (const [name, value] of Object.entries(HEADERS)) context.header(name, value);
  });
  const alive = (context: Context) => context.text("ok\n");
  app.get("/healthz", alive);
  app.get("/livez", alive);
  app.get("/readyz", (context) => {
    const { ready, reason } = readiness(state.snapshot);
    return context.text(`${redact(reason)}\n`, ready ? 200 : 503);
  });
  app.get("/status", (context) => context.json(describeStatus(state.snapshot, history, now())));
  app.get("/history", (context) => context.json(history.all));
  let metrics: Promise<() => Promise<Exposition>> | undefined;
  app.get("/metrics", async (context) => {
    metrics ??= import("./metrics.ts").then(({ metricsOf }) => metricsOf(state));
    const { contentType, body } = await (await metrics)();
    return context.body(body, 200, { "content-type": contentType });
  });
  app.get("/openapi.json", async (context) => {
    const { openApi } = await import("./openapi.ts");
    return context.json(openApi());
  });
  app.get("/", async (context) => {
    const { page, pagePolicy } = await import("./page.ts");
    return context.html(page, 200, { "content-security-policy": pagePolicy });
  });
  app.notFound((context) =>
    context.text("there is /, /status, /readyz, /metrics, /openapi.json\n", 404)
  );
  return app;
}
