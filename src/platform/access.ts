/** Who calls, and whether they may. */
import type { MiddlewareHandler } from "hono";
import { type Gateway, gatewayById } from "./gateways.ts";
import { type Identity, identityById, type Role } from "./identities.ts";
import type { Issuer } from "./issue.ts";
import { bearerOf, type Rates } from "./rates.ts";
import { Refusal } from "./refusal.ts";
import { type Relay, relayById } from "./relays.ts";
import { demandUnrevoked } from "./revocation.ts";
import type { Store } from "./store.ts";
import { readToken } from "./tokens.ts";

/** Who a bearer token belongs to. */
export type Caller =
  | { kind: "identity"; identity: Identity }
  | { kind: "gateway"; gateway: Gateway }
  | { kind: "relay"; relay: Relay }
  /** Whoever knows the instance's relay secret. */
  | { kind: "instance" };

/** Who may make a call: identities with a role, or one of the others. */
export type Access = `role:${Role}` | "gateway" | "relay" | "instance";

/** What every route works with. */
export interface Services {
  store: Store;
  issuer: Issuer;
  rates: Rates;
}

/** Types of the application. */
export interface PlatformEnv {
  Bindings: {
    /** Who is counted for the request (`sourceOf`). */
    peer: string;
  };
  Variables: { caller: Caller };
}

/**
 * Lets callers of the given kinds through. 401 for whoever cannot be told, 403 for all others, and for
 * those who were revoked.
 */
export function permit(
  { store, rates }: Services,
  ...access: Access[]
): MiddlewareHandler<PlatformEnv> {
  return async (context, next) => {
    const token = bearerOf(context);
    if (token === undefined) throw new Refusal(401, "no bearer token was sent");
    const caller = authenticate(store, token);
    rates.prove(token, nameOf(caller, context.env.peer));
    if (!mayCall(caller, access)) {
      throw new Refusal(403, `this token is not for this call, which is for ${describe(access)}`);
    }
    context.set("caller", caller);
    await next();
  };
}

/** By what a caller's requests are counted: many relays have the instance's secret. */
function nameOf(caller: Caller, peer: string): string {
  switch (caller.kind) {
    case "identity":
      return `identity ${caller.identity.id}`;
    case "gateway":
      return `gateway ${caller.gateway.id}`;
    case "relay":
      return `relay ${caller.relay.id}`;
    case "instance":
      return `instance ${peer}`;
  }
}

/** Whose a relay is that the caller registers or asks for; `null`s: the instance's. */
export function ownerOf(caller: Caller): { organisation: string | null; identity: string | null } {
  if (caller.kind === "instance") return { organisation: null, identity: null };
  if (caller.kind !== "identity") throw new Refusal(403, "this call is for identities");
  return { organisation: caller.identity.organisation, identity: caller.identity.id };
}

function authenticate(store: Store, text: string): Caller {
  const token = readToken(store, text);
  if (token?.kind === "instance") return { kind: "instance" };
  if (token?.kind === "identity" && token.identity) {
    const identity = identityById(store, token.identity);
    if (identity) {
      demandUnrevoked("identity", identity);
      return { kind: "identity", identity };
    }
  }
  if (token?.kind === "gateway" && token.gateway) {
    const gateway = gatewayById(store, token.gateway);
    if (gateway) {
      demandUnrevoked("gateway", gateway);
      return { kind: "gateway", gateway };
    }
  }
  if (token?.kind === "relay" && token.relay) {
    const relay = relayById(store, token.relay);
    if (relay) {
      demandUnrevoked("relay", relay);
      return { kind: "relay", relay };
    }
  }
  throw new Refusal(401, "the bearer token is unknown or has expired");
}

function mayCall(caller: Caller, access: Access[]): boolean {
  return caller.kind === "identity"
    ? caller.identity.roles.some((role) => access.includes(`role:${role}`))
    : access.includes(caller.kind);
}

function describe(access: Access[]): string {
  return access.map((one) =>
    one.startsWith("role:")
      ? `identities with the role "${one.slice("role:".length)}"`
      : one === "instance"
      ? "the instance's relay secret"
      : `${one}s with a token of their own`
  ).join(" and ");
}
