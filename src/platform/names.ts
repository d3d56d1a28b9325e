/** What names and addresses on the platform may look like; the same for API and administration. */
import { isIP } from "node:net";
import * as z from "zod";
import { Refusal } from "./refusal.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;

/**
 * A name of a gateway, a relay, an identity or an organisation. None may look like an id: a gateway's
 * SSH certificate carries its id and its name as principals, so that a gateway named like another's id
 * could log in as that one.
 */
export const name = z.string()
  .regex(NAME, "1 to 64 letters, digits, dots, hyphens and underscores, with no sign at either end")
  .refine((text) => !UUID.test(text), "a name must not look like an id");

/** A DNS name or an IP address, without port, brackets or scheme. */
export const host = z.string().min(1).max(253).refine(
  isHost,
  "not a host name or IP address (without port)",
);

/** A TCP port. */
export const port = z.number().int().min(1).max(65535);

/** A target's host; in HTTP mode it may begin with http:// or https:// (protocol.md). */
export const targetHost = z.string().min(1).max(512).refine(
  // deno-lint-ignore no-control-regex
  (text) => isHost(text.replace(/^https?:\/\//, "")) && !/[\u0000-\u0020\u007f]/.test(text),
  "not a host name or IP address",
);

function isHost(text: string): boolean {
  if (isIP(text)) return !text.includes("%");
  const labels = text.split(".");
  // A last label of digits alone makes an IPv4 address of sorts (RFC 1123 §2.1), and this is none.
  return labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1)!);
}

/** Checks a value from a command line. Throws {@linkcode Refusal}. */
export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const shown = typeof value === "string" ? ` ${JSON.stringify(value)}` : "";
  throw new Refusal(422, `${what}${shown}: ${result.error.issues[0]!.message}`);
}
