/**
 * Bearer tokens and one-time tokens: `<kind's prefix>_<id>_<secret>`. The id finds the row, the
 * secret's hash proves the rest.
 */
import { randomBytes } from "node:crypto";
import { hashSecret, newSecret, sameHash } from "./secrets.ts";
import type { Row, Store } from "./store.ts";

/** Kinds of tokens, and how a person tells them apart. */
const PREFIX = {
  /** Of a machine identity. */
  identity: "sp-id",
  /** A gateway's own. */
  gateway: "sp-gw",
  /** A relay's own. */
  relay: "sp-rl",
  /** The instance's relay secret. */
  instance: "sp-inst",
  "gateway-enrolment": "sp-enrol-gw",
  "relay-enrolment": "sp-enrol-rl",
} as const;

/** What a token is for. */
export type TokenKind = keyof typeof PREFIX;

/** A token whose secret has been proven. */
export interface Token {
  id: string;
  kind: TokenKind;
  identity: string | null;
  gateway: string | null;
  relay: string | null;
  createdAt: number;
  /** null: for ever. */
  expiresAt: number | null;
  /** null: not at all. */
  renewableUntil: number | null;
  spent: boolean;
}

/** What a new token is to be. */
export interface TokenRequest {
  kind: TokenKind;
  identity?: string;
  gateway?: string;
  relay?: string;
  /** ms; without it the token never expires. */
  life?: number;
  /** ms from now. */
  renewable?: number;
}

/** Tokens that expired this long ago are removed, ms. */
const REMOVE_AFTER = 7 * 24 * 60 * 60 * 1000;

/** Makes a token. */
export function createToken(
  store: Store,
  request: TokenRequest,
): { token: string; expires?: Date } {
  const id = randomBytes(9).toString("hex");
  const secret = newSecret();
  const now = store.now().getTime();
  const { kind, identity, gateway, relay, life, renewable } = request;
  store.run("DELETE FROM token WHERE expires_at < ?", now - REMOVE_AFTER);
  store.run(
    "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
    id,
    kind,
    hashSecret(secret),
    identity ?? null,
    gateway ?? null,
    relay ?? null,
    now,
    life === undefined ? null : now + life,
    renewable === undefined ? null : now + renewable,
  );
  const token = `${PREFIX[kind]}_${id}_${secret}`;
  return life === undefined ? { token } : { token, expires: new Date(now + life) };
}

/** The token behind a text that somebody sent, if it is one of ours and has not expired. */
export function readToken(store: Store, text: string): Token | undefined {
  const [, prefix, id, secret] = /^([a-z-]+)_([0-9a-f]{18})_([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  if (id === undefined || secret === undefined) return undefined;
  const row = store.get("SELECT * FROM token WHERE id = ?", id);
  if (!row || !sameHash(row.hash, secret)) return undefined;
  const token = toToken(row);
  if (PREFIX[token.kind] !== prefix) return undefined;
  if (token.expiresAt !== null && token.expiresAt <= store.now().getTime()) return undefined;
  return token;
}

/** Spends a one-time token; of several who try, one gets true. */
export function spendToken(store: Store, { id }: Token): boolean {
  const now = store.now().getTime();
  return store.run("UPDATE token SET spent_at = ? WHERE id = ? AND spent_at IS NULL", now, id) ===
    1;
}

/** Moves a token's end. */
export function prolongToken(store: Store, { id }: Token, expiresAt: number): void {
  store.run("UPDATE token SET expires_at = ? WHERE id = ?", expiresAt, id);
}

/** Ends the tokens that a gateway or a relay had of its own, because it was enrolled anew. */
export function revokeOwnTokens(
  store: Store,
  owner: { gateway: string } | { relay: string },
): void {
  if ("gateway" in owner) {
    store.run("DELETE FROM token WHERE kind = 'gateway' AND gateway_id = ?", owner.gateway);
  } else {
    store.run("DELETE FROM token WHERE kind = 'relay' AND relay_id = ?", owner.relay);
  }
}

/** Ends the tokens of an identity that were made before, `grace` ms from now at the latest. */
export function endTokens(store: Store, identity: string, grace: number): void {
  const end = store.now().getTime() + grace;
  store.run(
    "UPDATE token SET expires_at = ?1, renewable_until = min(renewable_until, ?1) WHERE kind = 'identity' AND identity_id = ?2 AND (expires_at IS NULL OR expires_at > ?1)",
    end,
    identity,
  );
}

function toToken(row: Row): Token {
  const text = (value: unknown) => value === null ? null : String(value);
  const number = (value: unknown) => value === null ? null : Number(value);
  return {
    id: String(row.id),
    kind: row.kind as TokenKind,
    identity: text(row.identity_id),
    gateway: text(row.gateway_id),
    relay: text(row.relay_id),
    createdAt: Number(row.created_at),
    expiresAt: number(row.expires_at),
    renewableUntil: number(row.renewable_until),
    spent: row.spent_at !== null,
  };
}
