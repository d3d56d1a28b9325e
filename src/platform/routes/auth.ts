/** Universal auth: a client id and secret for an access token, and its renewal. */
import { createRoute, z } from "@hono/zod-openapi";
import type { Services } from "../access.ts";
import type { PlatformApp } from "../app.ts";
import { identityById, identityByLogin } from "../identities.ts";
import { Refusal } from "../refusal.ts";
import { demandUnrevoked } from "../revocation.ts";
import { createToken, prolongToken, readToken } from "../tokens.ts";
import { answers, jsonBody } from "./schemas.ts";

/** Life of an access token, ms. */
const TOKEN_LIFE = 60 * 60 * 1000;
/** Its life with all its renewals, ms. */
const LONGEST_LIFE = 24 * 60 * 60 * 1000;

const credential = z.string().min(1).max(512);

const loginAnswer = z.object({
  accessToken: z.string(),
  expiresIn: z.number().int().describe("Seconds"),
  accessTokenMaxTTL: z.number().int().describe("Seconds, from the login on"),
  tokenType: z.literal("Bearer"),
}).openapi("Login");

const login = createRoute({
  method: "post",
  path: "/api/v1/auth/universal-auth/login",
  request: { body: jsonBody(z.object({ clientId: credential, clientSecret: credential })) },
  responses: answers("An access token", loginAnswer),
});

const renew = createRoute({
  method: "post",
  path: "/api/v1/auth/token/renew",
  request: { body: jsonBody(z.object({ accessToken: credential })) },
  responses: answers("The same token, with a later end", loginAnswer),
});

/** Adds the calls of universal auth. */
export function addAuthRoutes(app: PlatformApp, { store }: Services): void {
  app.openapi(login, (context) => {
    const identity = identityByLogin(store, context.req.valid("json"));
    // One answer for a wrong id and a wrong secret: nobody learns which ids there are.
    if (!identity) throw new Refusal(401, "invalid credentials");
    demandUnrevoked("identity", identity);
    const { token } = createToken(store, {
      kind: "identity",
      identity: identity.id,
      life: TOKEN_LIFE,
      renewable: LONGEST_LIFE,
    });
    return context.json(describe(token, TOKEN_LIFE, LONGEST_LIFE), 200);
  });

  app.openapi(renew, (context) => {
    const { accessToken } = context.req.valid("json");
    const token = readToken(store, accessToken);
    if (token?.kind !== "identity") throw new Refusal(401, "the token is unknown or has expired");
    const identity = identityById(store, token.identity!);
    if (identity) demandUnrevoked("identity", identity);
    const { renewableUntil, createdAt } = token;
    if (renewableUntil === null) throw new Refusal(400, "this token cannot be renewed");
    const now = store.now().getTime();
    if (renewableUntil <= now) throw new Refusal(401, "the token has reached its longest life");
    const end = Math.min(now + TOKEN_LIFE, renewableUntil);
    prolongToken(store, token, end);
    return context.json(describe(accessToken, end - now, renewableUntil - createdAt), 200);
  });
}

function describe(accessToken: string, life: number, longest: number): z.infer<typeof loginAnswer> {
  return {
    accessToken,
    expiresIn: Math.floor(life / 1000),
    accessTokenMaxTTL: Math.floor(longest / 1000),
    tokenType: "Bearer",
  };
}
