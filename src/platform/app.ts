/** The platform's API as one Hono application, and how its errors look. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import { VERSION } from "../version.ts";
import type { PlatformEnv, Services } from "./access.ts";
import { errorBody, Refusal } from "./refusal.ts";
import { addAuthRoutes } from "./routes/auth.ts";
import { addConnectionRoutes } from "./routes/connections.ts";
import { addGatewayRoutes } from "./routes/gateways.ts";
import { addRelayRoutes } from "./routes/relays.ts";
import { addRelayEnrolmentRoutes } from "./routes/relay_enrolment.ts";
import { addRevocationRoutes } from "./routes/revocations.ts";

const log = logger("platform");

/** An application that routes are added to. */
export type PlatformApp = OpenAPIHono<PlatformEnv>;

/** The application over an open store. */
export function platformApp(services: Services): PlatformApp {
  // Whoever is refused often tries again at once.
  const refusals = new FoldedLog(log, Date.now);
  const app: PlatformApp = new OpenAPIHono<PlatformEnv>({
    defaultHook: (result) => {
      if (!result.success) throw new Refusal(422, describeIssues(result.error.issues));
    },
  });
  app.use(async (context, next) => {
    await next();
    // Answers carry private keys.
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
  });
  app.use(services.rates.middleware());
  app.onError((error, context) => {
    const { status, message, name, retryAfter } = toAnswer(error, refusals);
    if (retryAfter !== undefined) context.header("retry-after", String(retryAfter));
    return context.json(errorBody(status, message, name), status as 400);
  });
  app.notFound((context) => {
    const { method, path } = context.req;
    return context.json(errorBody(404, `there is no ${method} ${path.slice(0, 200)} here`), 404);
  });
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
  });
  addAuthRoutes(app, services);
  addGatewayRoutes(app, services);
  addRelayRoutes(app, services);
  addRelayEnrolmentRoutes(app, services);
  addConnectionRoutes(app, services);
  addRevocationRoutes(app, services);
  app.doc31("/api/docs/json", {
    openapi: "3.1.0",
    info: { title: "sallyport: embedded platform", version: VERSION },
  });
  app.get("/api/status", (context) => context.json({ message: "Ok", version: VERSION }));
  return app;
}

/** Only what was refused on purpose is told to the caller; the rest is for our log. */
function toAnswer(
  error: unknown,
  refusals: FoldedLog,
): { status: number; message: string; name?: string; retryAfter?: number } {
  if (error instanceof Refusal) {
    const { status, message, error: name, retryAfter: wait } = error;
    refusals.tell("info", "refused with {status}: {message}", { status, message });
    // Whole seconds (RFC 9110 §10.2.3), rounded up: who waits so long is served.
    const retryAfter = wait === undefined ? undefined : Math.ceil(wait / 1000);
    return { status, message, name, retryAfter };
  }
  if (error instanceof HTTPException && error.status < 500) {
    return { status: error.status, message: error.message || "the request cannot be read" };
  }
  const message = error instanceof Error ? error.message : String(error);
  log.error("a call failed: {message}", { message, error });
  return { status: 500, message: "the platform failed; its log says why" };
}

/** zod's messages name what is wrong with a value and do not quote it. */
function describeIssues(issues: { path: PropertyKey[]; message: string }[]): string {
  return issues.map(({ path, message }) => `${path.map(String).join(".") || "body"}: ${message}`)
    .join("; ");
}
