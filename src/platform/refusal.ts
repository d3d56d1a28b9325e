/** What the platform does not do: one error for the API, which sends it, and for administration. */
import { SallyportError } from "../errors.ts";

/** HTTP statuses that a refusal can have, and their names in error bodies. */
export const REFUSAL_NAMES = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  408: "RequestTimeout",
  409: "Conflict",
  413: "PayloadTooLarge",
  422: "ValidationFailure",
  429: "TooManyRequests",
  431: "RequestHeaderFieldsTooLarge",
} as const;

/** Status of a refused call. */
export type RefusalStatus = keyof typeof REFUSAL_NAMES;

/** A call that is refused because of who asks or what is asked. Its message is shown to the caller. */
export class Refusal extends SallyportError {
  readonly status: RefusalStatus;
  /** Goes into the answer instead of the status's own name. */
  readonly error: string | undefined;

  constructor(
    status: RefusalStatus,
    message: string,
    { hint, error, retryAfter }: {
      hint?: string;
      error?: string;
      /** How long to wait before the same may be tried again, ms. */
      retryAfter?: number;
    } = {},
  ) {
    super("platform-request", message, { hint, retryAfter });
    this.status = status;
    this.error = error;
  }
}

/** Body of every error answer (protocol.md, "API"). */
export interface ErrorBody {
  statusCode: number;
  message: string;
  error: string;
}

/** The error body for a status. */
export function errorBody(statusCode: number, message: string, error?: string): ErrorBody {
  const known = REFUSAL_NAMES as Record<number, string>;
  return { statusCode, message, error: error ?? known[statusCode] ?? "InternalServerError" };
}
