/**
 * What a peer has said, in an error that goes to logs and people: names of services, reasons, key ids.
 * Pure.
 */
import { SallyportError } from "../errors.ts";

/** Longest message that an error carries on, characters. */
const LONGEST = 500;

/** The error with a message that is one line of bounded length and commands no terminal. */
export function readable(error: SallyportError): SallyportError {
  const { code, message, hint, cause, retryable, retryAfter } = error;
  // deno-lint-ignore no-control-regex
  const plain = message.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ");
  const short = plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain;
  if (short === message) return error;
  return new SallyportError(code, short, { hint, cause, retryable, retryAfter });
}
