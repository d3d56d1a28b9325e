/** What a gateway tells about itself on this host: a small HTTP application over the link's state. */
import { isIP } from "node:net";
import { Hono } from "hono";
import type { LinkSnapshot, LinkState } from "../link/state.ts";
import type { ListenAddress } from "../listen.ts";
import { VERSION } from "../version.ts";

/** What is shown, and under which names. */
export interface HealthOptions {
  state: Pick<LinkState, "snapshot">;
  /** Where the application listens: its host is one of the names that it answers to. */
  address: ListenAddress;
  /** ms since 1970 @default Date.now */
  now?: () => number;
}

/** Whether traffic can pass, and why not. */
export interface Readiness {
  ready: boolean;
  /** One sentence. */
  reason: string;
}

/** Readiness of a link in a given state: only a live tunnel is ready. Pure. */
export function readiness(link: LinkSnapshot): Readiness {
  const fault = link.lastError ? `: ${link.lastError.message}` : "";
  switch (link.phase) {
    case "up":
      return {
        ready: true,
        reason: `the tunnel is up through ${link.relay?.address ?? "a relay"}`,
      };
    case "starting":
      return { ready: false, reason: `the gateway is not registered yet${fault}` };
    case "connecting":
      return { ready: false, reason: `connecting to ${link.relay?.address ?? "a relay"}${fault}` };
    case "draining":
      return { ready: false, reason: "the gateway is stopping" };
    case "down":
      return { ready: false, reason: `the tunnel is down${fault}` };
  }
}

/**
 * `/healthz`: 200 while the process answers. `/readyz`: 200 with a live tunnel, else 503 and why.
 * `/status`: the state as JSON. GET and HEAD only; requests under a foreign host name are refused, so
 * that no web page in a browser on this host can read it under a name of its own (DNS rebinding).
 */
export function healthApp({ state, address, now = Date.now }: HealthOptions): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const { method } = context.req;
    if (!isOwnHost(context.req.header("host"), address)) {
      return context.text("this host name is not served here\n", 421);
    }
    if (method !== "GET" && method !== "HEAD") {
      return context.text("only GET and HEAD\n", 405, { allow: "GET, HEAD" });
    }
    await next();
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
  });
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => {
    const { ready, reason } = readiness(state.snapshot);
    return context.text(`${reason}\n`, ready ? 200 : 503);
  });
  app.get("/status", (context) => context.json(describe(state.snapshot, now())));
  app.notFound((context) => context.text("see /healthz, /readyz and /status\n", 404));
  return app;
}

function describe(link: LinkSnapshot, now: number): Record<string, unknown> {
  const { phase, since, ...rest } = link;
  return {
    version: VERSION,
    ...readiness(link),
    phase,
    since,
    /** Seconds in this phase. */
    for: Math.max(0, Math.round((now - since.getTime()) / 1000)),
    ...rest,
  };
}

/** Loopback names, the bound host, and any IP address if every address is listened on. */
function isOwnHost(header: string | undefined, { host: bound }: ListenAddress): boolean {
  // HTTP/1.0 knows no Host header; a browser always sends one.
  if (header === undefined) return true;
  const host = header.replace(/:\d{1,5}$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (host === "localhost" || host === bound.toLowerCase()) return true;
  if (host === "::1" || (isIP(host) === 4 && host.startsWith("127."))) return true;
  const everywhere = bound === "" || bound === "0.0.0.0" || bound === "::";
  return everywhere && isIP(host) !== 0;
}
