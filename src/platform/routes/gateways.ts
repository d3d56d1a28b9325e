/** Gateways: registration by an identity (v2), enrolment and connection with an own token (v3), heartbeat. */
import { createRoute, z } from "@hono/zod-openapi";
import { permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import {
  assignRelay,
  beatGateways,
  detachGateway,
  type Gateway,
  gatewayById,
  listGateways,
  registerGateway,
} from "../gateways.ts";
import { issueGateway } from "../issue.ts";
import { name } from "../names.ts";
import { Refusal } from "../refusal.ts";
import { anyRelay, findRelay, type PlacedRelay, relaysFor } from "../relays.ts";
import { demandUnrevoked } from "../revocation.ts";
import { createToken, readToken, revokeOwnTokens, spendToken } from "../tokens.ts";
import {
  acknowledgement,
  answers,
  BEARER,
  gatewayAnswer,
  jsonBody,
  optionalJsonBody,
} from "./schemas.ts";

/** Adds the calls of gateways. */
export function addGatewayRoutes(app: PlatformApp, services: Services): void {
  const { store, issuer } = services;

  async function register(gateway: Gateway, relay: PlacedRelay) {
    const registration = await issueGateway(issuer, gateway, relay);
    assignRelay(store, gateway.id, relay.id);
    return registration;
  }

  const v2 = createRoute({
    method: "post",
    path: "/api/v2/gateways",
    security: BEARER,
    middleware: [permit(services, "role:gateway")] as const,
    request: { body: jsonBody(z.object({ name, relayName: z.string().min(1).max(64) })) },
    responses: answers("Certificates for a gateway", gatewayAnswer),
  });
  app.openapi(v2, async (context) => {
    const caller = context.get("caller");
    if (caller.kind !== "identity") throw new Refusal(403, "this call is for identities");
    const { id: identity, organisation } = caller.identity;
    const { name, relayName } = context.req.valid("json");
    const relay = findRelay(store, organisation, relayName);
    const gateway = registerGateway(store, { name, organisation, identity });
    demandUnrevoked("gateway", gateway);
    return context.json(await register(gateway, relay), 200);
  });

  const enroll = createRoute({
    method: "post",
    path: "/api/v3/gateways/token-auth/enroll",
    request: { body: jsonBody(z.object({ token: z.string().min(1).max(512) })) },
    responses: answers(
      "The gateway's own token",
      z.object({ accessToken: z.string(), gatewayId: z.string() }),
    ),
  });
  app.openapi(enroll, (context) => {
    const oneTime = readToken(store, context.req.valid("json").token);
    const gateway = oneTime?.kind === "gateway-enrolment" ? oneTime.gateway : null;
    const enrolling = gateway === null ? undefined : gatewayById(store, gateway);
    if (enrolling) demandUnrevoked("gateway", enrolling);
    const accessToken = oneTime && gateway !== null && store.transaction(() => {
      if (!spendToken(store, oneTime)) return undefined;
      revokeOwnTokens(store, { gateway });
      detachGateway(store, gateway);
      return createToken(store, { kind: "gateway", gateway }).token;
    });
    if (!accessToken || gateway === null) {
      throw new Refusal(401, "the enrolment token is unknown, used or has expired");
    }
    return context.json({ accessToken, gatewayId: gateway }, 200);
  });

  const v3 = createRoute({
    method: "post",
    path: "/api/v3/gateways/connect",
    security: BEARER,
    middleware: [permit(services, "gateway")] as const,
    request: {
      body: optionalJsonBody(z.object({ relayName: z.string().min(1).max(64).optional() })),
    },
    responses: answers("Certificates for the gateway", gatewayAnswer),
  });
  app.openapi(v3, async (context) => {
    const caller = context.get("caller");
    if (caller.kind !== "gateway") throw new Refusal(403, "this call is for gateways");
    const { gateway } = caller;
    const { relayName } = context.req.valid("json") ?? {};
    const relay = relayName === undefined
      ? relaysFor(store, gateway.organisation).find(({ id }) => id === gateway.relay) ??
        anyRelay(store, gateway.organisation)
      : findRelay(store, gateway.organisation, relayName);
    return context.json(await register(gateway, relay), 200);
  });

  const heartbeat = createRoute({
    method: "post",
    path: "/api/v2/gateways/heartbeat",
    description: "An identity speaks for every gateway that it registered: give each its own " +
      "identity, or an enrolment token, to tell them apart.",
    security: BEARER,
    middleware: [permit(services, "role:gateway", "gateway")] as const,
    request: {
      body: optionalJsonBody(
        z.object({ capabilities: z.record(z.string(), z.unknown()) }).partial(),
      ),
    },
    responses: answers("Noted", acknowledgement),
  });
  app.openapi(heartbeat, (context) => {
    const caller = context.get("caller");
    const count = caller.kind === "gateway"
      ? beatGateways(store, { gateway: caller.gateway.id })
      : caller.kind === "identity"
      ? beatGateways(store, { identity: caller.identity.id })
      : 0;
    if (count === 0 && caller.kind === "identity") {
      const last = listGateways(store).findLast((one) => one.identity === caller.identity.id);
      if (last) demandUnrevoked("gateway", last);
    }
    if (count === 0) throw new Refusal(404, "this identity has not registered a gateway");
    return context.json({ message: "Successfully triggered heartbeat" }, 200);
  });
}
