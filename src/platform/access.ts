/** Who calls, and whether they may. */
import type { MiddlewareHandler } from "hono";
import { type Gateway, gatewayById } from "./gateways.ts";
import { type Identity, identityById, type Role } from "./identities.ts";
import type { Issuer } from "./issue.ts";
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
}

/** Types of the application. */
export interface PlatformEnv {
  Variables: { caller: Caller };
}

/**
 * Lets callers of the given kinds through. 401 for whoever cannot be told, 403 for all others, and for
 * those who were revoked.
 */
export function permit({ store }: Services, ...access: Access[]): MiddlewareHandler<PlatformEnv> {
  return async (context, next) => {
    const header = context.req.header("authorization") ?? "";
    const caller = authenticate(store, /^Bearer +(\S+)$/i.exec(header)?.[1]);
    if (!mayCall(caller, access)) {
      throw new Refusal(403, `this token is not for this call, which is for ${describe(access)}`);
    }
    context.set("caller", caller);
    await next();
  };
}

function authenticate(store: Store, text: string | undefined): Caller {
  if (text === undefined) throw new Refusal(401, "no bearer token was sent");
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
