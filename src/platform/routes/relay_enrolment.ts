/** Relays with a token of their own (v2): a one-time token is traded for it, then it connects and beats. */
import { createRoute, z } from "@hono/zod-openapi";
import { permit, type Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { issueRelay } from "../issue.ts";
import { host, port } from "../names.ts";
import { Refusal } from "../refusal.ts";
import { beatRelay, detachRelay, placeRelay } from "../relays.ts";
import { createToken, readToken, revokeOwnTokens, spendToken } from "../tokens.ts";
import {
  acknowledgement,
  answers,
  BEARER,
  jsonBody,
  optionalJsonBody,
  relayAnswer,
} from "./schemas.ts";

/** Adds the calls of enrolled relays. */
export function addRelayEnrolmentRoutes(app: PlatformApp, services: Services): void {
  const { store, issuer } = services;

  const login = createRoute({
    method: "post",
    path: "/api/v2/relays/login",
    request: {
      body: jsonBody(z.object({ method: z.literal("token"), token: z.string().min(1).max(512) })),
    },
    responses: answers(
      "The relay's own token",
      z.object({ accessToken: z.string(), relayId: z.string() }),
    ),
  });
  app.openapi(login, (context) => {
    const oneTime = readToken(store, context.req.valid("json").token);
    const relay = oneTime?.kind === "relay-enrolment" ? oneTime.relay : null;
    const accessToken = oneTime && relay !== null && store.transaction(() => {
      if (!spendToken(store, oneTime)) return undefined;
      revokeOwnTokens(store, { relay });
      detachRelay(store, relay);
      return createToken(store, { kind: "relay", relay }).token;
    });
    if (!accessToken || relay === null) {
      throw new Refusal(401, "the enrolment token is unknown, used or has expired");
    }
    return context.json({ accessToken, relayId: relay }, 200);
  });

  const connect = createRoute({
    method: "post",
    path: "/api/v2/relays/connect",
    description: "What is not given stays as it was.",
    security: BEARER,
    middleware: [permit(services, "relay")] as const,
    request: {
      body: optionalJsonBody(z.object({ host, sshPort: port, tlsPort: port }).partial()),
    },
    responses: answers("Certificates for the relay", relayAnswer),
  });
  app.openapi(connect, async (context) => {
    const caller = context.get("caller");
    if (caller.kind !== "relay") throw new Refusal(403, "this call is for relays");
    const { relay } = caller;
    const given = context.req.valid("json") ?? {};
    const host = given.host ?? relay.host;
    if (host === null) throw new Refusal(400, "host: the platform does not know it yet");
    const { sshPort = relay.sshPort, tlsPort = relay.tlsPort } = given;
    const placed = placeRelay(store, relay.id, { host, sshPort, tlsPort });
    return context.json(await issueRelay(issuer, placed), 200);
  });

  const heartbeat = createRoute({
    method: "post",
    path: "/api/v2/relays/heartbeat",
    security: BEARER,
    middleware: [permit(services, "relay")] as const,
    request: { body: optionalJsonBody(z.object({})) },
    responses: answers("Noted", acknowledgement),
  });
  app.openapi(heartbeat, (context) => {
    const caller = context.get("caller");
    if (caller.kind !== "relay") throw new Refusal(403, "this call is for relays");
    beatRelay(store, caller.relay.id);
    return context.json({ message: "Successfully triggered heartbeat" }, 200);
  });
}
