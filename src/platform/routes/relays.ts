/** Relays: the list, and registration and heartbeat of organisation and instance relays (v1). */
import { createRoute, z } from "@hono/zod-openapi";
import { type Caller, ownerOf, permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { issueRelay } from "../issue.ts";
import { host, name, port } from "../names.ts";
import { Refusal } from "../refusal.ts";
import { beatRelayByName, registerRelay, relaysFor } from "../relays.ts";
import { demandUnrevoked } from "../revocation.ts";
import { acknowledgement, answers, BEARER, jsonBody, relayAnswer } from "./schemas.ts";

const relayEntry = z.object({
  id: z.string(),
  name: z.string(),
  host: z.string(),
  orgId: z.string().nullable(),
  heartbeat: z.string().nullable(),
  createdAt: z.string(),
  updatedAt: z.string(),
}).openapi("Relay");

const description = z.object({
  name,
  host,
  sshPort: port.optional(),
  tlsPort: port.optional(),
});

/** Adds the calls of relays. */
export function addRelayRoutes(app: PlatformApp, services: Services): void {
  const { store, issuer } = services;

  const list = createRoute({
    method: "get",
    path: "/api/v1/relays",
    security: BEARER,
    middleware: [permit(services, "role:gateway", "gateway")] as const,
    responses: answers("The relays that the caller's gateways may use", z.array(relayEntry)),
  });
  app.openapi(list, (context) => {
    const relays = relaysFor(store, organisationOf(context.get("caller")));
    return context.json(
      relays.map(({ id, name, host, organisation, heartbeat, createdAt, updatedAt }) => ({
        id,
        name,
        host,
        orgId: organisation,
        heartbeat: heartbeat?.toISOString() ?? null,
        createdAt: createdAt.toISOString(),
        updatedAt: updatedAt.toISOString(),
      })),
      200,
    );
  });

  for (const type of ["org", "instance"] as const) {
    const access = type === "org" ? "role:relay" : "instance";

    const register = createRoute({
      method: "post",
      path: `/api/v1/relays/register-${type}-relay`,
      security: BEARER,
      middleware: [permit(services, access)] as const,
      request: { body: jsonBody(description) },
      responses: answers("Certificates for a relay", relayAnswer),
    });
    app.openapi(register, async (context) => {
      const { name, ...place } = context.req.valid("json");
      const relay = registerRelay(store, name, place, ownerOf(context.get("caller")));
      demandUnrevoked("relay", relay);
      return context.json(await issueRelay(issuer, relay), 200);
    });

    const heartbeat = createRoute({
      method: "post",
      path: `/api/v1/relays/heartbeat-${type}-relay`,
      security: BEARER,
      middleware: [permit(services, access)] as const,
      request: { body: jsonBody(z.object({ name })) },
      responses: answers("Noted", acknowledgement),
    });
    app.openapi(heartbeat, (context) => {
      const { name } = context.req.valid("json");
      demandUnrevoked("relay", beatRelayByName(store, name, ownerOf(context.get("caller"))));
      return context.json({ message: "Successfully triggered heartbeat" }, 200);
    });
  }
}

function organisationOf(caller: Caller): string {
  if (caller.kind === "identity") return caller.identity.organisation;
  if (caller.kind === "gateway") return caller.gateway.organisation;
  throw new Refusal(403, "this call is for gateways");
}
