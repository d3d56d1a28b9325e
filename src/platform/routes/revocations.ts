/** Our own call: whom a relay has to cut off before their certificates end. */
import { createRoute, z } from "@hono/zod-openapi";
import { type Caller, permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { Refusal } from "../refusal.ts";
import { revocationsFor } from "../revocation.ts";
import { answers, BEARER } from "./schemas.ts";

const list = z.object({ gateways: z.array(z.string()), identities: z.array(z.string()) })
  .openapi("Revocations");

/** Adds the call of relays. */
export function addRevocationRoutes(app: PlatformApp, services: Services): void {
  const { store } = services;
  const get = createRoute({
    method: "get",
    path: "/api/v1/sallyport/revocations",
    description: "Relays ask every few seconds, drop who stands here and let them in no more.",
    security: BEARER,
    middleware: [permit(services, "role:relay", "relay", "instance")] as const,
    responses: answers("Ids of revoked gateways and identities", list),
  });
  app.openapi(get, (context) => {
    return context.json(revocationsFor(store, organisationOf(context.get("caller"))), 200);
  });
}

/** null: every organisation's. */
function organisationOf(caller: Caller): string | null {
  switch (caller.kind) {
    case "instance":
      return null;
    case "relay":
      return caller.relay.organisation;
    case "identity":
      return caller.identity.organisation;
    case "gateway":
      throw new Refusal(403, "this call is for relays");
  }
}
