/** Our own call: certificates with which `sallyport connect` reaches one target behind one gateway. */
import { createRoute, z } from "@hono/zod-openapi";
import { permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { findGateway } from "../gateways.ts";
import { issueConnection } from "../issue.ts";
import { port, targetHost } from "../names.ts";
import { organisationById } from "../organisations.ts";
import { Refusal } from "../refusal.ts";
import { demandUnrevoked } from "../revocation.ts";
import { relaysFor } from "../relays.ts";
import { answers, BEARER, jsonBody } from "./schemas.ts";

const identity = {
  clientCertificate: z.string(),
  clientPrivateKey: z.string(),
  serverCertificateChain: z.string(),
};

const connection = z.object({
  gatewayId: z.string(),
  relay: z.object({ host: z.string(), tlsPort: port, ...identity }),
  gateway: z.object(identity),
}).openapi("Connection");

/** Adds the calls of clients. */
export function addConnectionRoutes(app: PlatformApp, services: Services): void {
  const { store, issuer } = services;
  const open = createRoute({
    method: "post",
    path: "/api/v1/sallyport/connections",
    description:
      'Certificates for one target behind one gateway, valid for minutes. The actor is a "user": ' +
      "gateways refuse it the Kubernetes actions.",
    security: BEARER,
    middleware: [permit(services, "role:client")] as const,
    request: {
      body: jsonBody(z.object({
        gateway: z.string().min(1).max(64).describe("Name or id"),
        targetHost,
        targetPort: port,
      })),
    },
    responses: answers("Keys for both TLS connections, and whom they trust", connection),
  });
  app.openapi(open, async (context) => {
    const caller = context.get("caller");
    if (caller.kind !== "identity") throw new Refusal(403, "this call is for identities");
    const { identity } = caller;
    const body = context.req.valid("json");
    const gateway = findGateway(store, identity.organisation, body.gateway);
    demandUnrevoked("gateway", gateway);
    const relay = relaysFor(store, identity.organisation).find(({ id }) => id === gateway.relay);
    if (!relay) throw new Refusal(409, `the gateway "${gateway.name}" has not chosen a relay yet`);
    const organisation = organisationById(store, identity.organisation);
    const target = { host: body.targetHost, port: body.targetPort };
    return context.json(
      await issueConnection(issuer, { organisation, identity, gateway, relay, target }),
      200,
    );
  });
}
