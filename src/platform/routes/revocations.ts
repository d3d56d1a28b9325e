/** Our own call: whom a relay has to cut off before their certificates end. */
import { createRoute, z } from "@hono/zod-openapi";
import { type Caller, ownerOf, permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { name } from "../names.ts";
import { Refusal } from "../refusal.ts";
import { ownRelay } from "../relays.ts";
import { demandUnrevoked, revocationsFor } from "../revocation.ts";
import { answers, BEARER } from "./schemas.ts";

const list = z.object({ gateways: z.array(z.string()), identities: z.array(z.string()) })
  .openapi("Revocations");

/** Adds the call of relays. */
export function addRevocationRoutes(app: PlatformApp, services: Services): void {
  const { store } = services;
  const get = createRoute({
    method: "get",
    path: "/api/v1/sallyport/revocations",
    description: "Relays ask every few seconds, drop who stands here and let them in no more. " +
      "One that was cut off itself is refused.",
    security: BEARER,
    middleware: [permit(services, "role:relay", "relay", "instance")] as const,
    request: { query: z.object({ relay: name.optional() }) },
    responses: answers("Ids of revoked gateways and identities", list),
  });
  app.openapi(get, (context) => {
    const caller = context.get("caller");
    const { relay: name } = context.req.valid("query");
    // One with a token of its own was judged by that.
    const asking = name === undefined || caller.kind === "relay"
      ? undefined
      : ownRelay(store, name, ownerOf(caller));
    if (asking) demandUnrevoked("relay", asking);
    return context.json(revocationsFor(store, organisationOf(caller)), 200);
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
