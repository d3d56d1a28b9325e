/**
 * The one error family of sallyport. Every failure that a person or a supervisor can meet has a
 * stable code; the table below says what the process exits with and whether trying again can help.
 */

/** Exit statuses of the program, as documented in README and `--help`. */
export const EXIT = {
  ok: 0,
  /** Something failed that none of the other statuses describes. */
  failure: 1,
  /** Wrong arguments, environment or configuration. */
  usage: 2,
  /** The platform refused the credentials (401, 403, wrong enrolment token). */
  credentials: 3,
  /** A peer could not prove who it is: a certificate or host key was refused. */
  untrusted: 4,
  /** The platform, the relay or a target cannot be reached, or answers nonsense. */
  unavailable: 5,
  /** This host refuses what is needed: a port in use, a file that cannot be read or written. */
  host: 6,
  /** The platform has revoked this gateway, or the identity that speaks for it. */
  revoked: 7,
  /** Ended by a second signal before the drain was over. */
  interrupted: 130,
} as const;

/** code → [exit status, can a retry help]. */
const CODES = {
  "internal": [EXIT.failure, false],
  "usage": [EXIT.usage, false],
  "config": [EXIT.usage, false],
  "aborted": [EXIT.interrupted, false],
  "timeout": [EXIT.unavailable, true],
  // platform API
  "api-unreachable": [EXIT.unavailable, true],
  "api-status": [EXIT.unavailable, true],
  "api-rate-limited": [EXIT.unavailable, true],
  "api-malformed": [EXIT.unavailable, true],
  "api-rejected": [EXIT.usage, false],
  "api-not-found": [EXIT.usage, false],
  "credentials-refused": [EXIT.credentials, false],
  "revoked": [EXIT.revoked, false],
  // certificates
  "certificate-malformed": [EXIT.untrusted, false],
  "certificate-type": [EXIT.untrusted, false],
  "certificate-authority": [EXIT.untrusted, false],
  "certificate-signature": [EXIT.untrusted, false],
  "certificate-validity": [EXIT.untrusted, true],
  "certificate-principal": [EXIT.untrusted, false],
  "certificate-key-id": [EXIT.untrusted, false],
  "certificate-option": [EXIT.untrusted, false],
  "host-key-raw": [EXIT.untrusted, false],
  "host-key-changed": [EXIT.untrusted, true],
  "key-malformed": [EXIT.untrusted, false],
  // SSH
  "relay-unreachable": [EXIT.unavailable, true],
  "relay-none": [EXIT.unavailable, true],
  "ssh-protocol": [EXIT.unavailable, true],
  "ssh-algorithms": [EXIT.unavailable, true],
  "ssh-closed": [EXIT.unavailable, true],
  "ssh-authentication": [EXIT.credentials, true],
  "ssh-channel": [EXIT.unavailable, true],
  // channels
  "mtls-handshake": [EXIT.untrusted, false],
  "route-malformed": [EXIT.failure, false],
  "channel-limit": [EXIT.failure, true],
  "gateway-unreachable": [EXIT.unavailable, true],
  "target-refused": [EXIT.unavailable, true],
  "target-denied": [EXIT.failure, false],
  "target-unreachable": [EXIT.unavailable, true],
  "name-resolution": [EXIT.unavailable, true],
  // this host
  "port-in-use": [EXIT.host, false],
  "listen": [EXIT.host, false],
  "file": [EXIT.host, false],
  "state": [EXIT.host, false],
  "audit": [EXIT.host, true],
  "service": [EXIT.host, false],
  // embedded platform
  "platform-store": [EXIT.host, false],
  "platform-request": [EXIT.usage, false],
} as const satisfies Record<string, readonly [number, boolean]>;

/** A stable name for one kind of failure; safe to match on, to log and to document. */
export type ErrorCode = keyof typeof CODES;

/** What may be said about an error beside its code and message. */
export interface ErrorDetails {
  /** What the person can do about it, one sentence. */
  hint?: string;
  /** The error underneath, shown with `--log-level debug` only. */
  cause?: unknown;
  /** Overrides the table's answer to "can a retry help". */
  retryable?: boolean;
  /** For `api-rate-limited` and 503: how long the other side asks us to wait, ms. */
  retryAfter?: number;
}

/** Every error that sallyport raises on purpose. The message names what was wrong and where. */
export class SallyportError extends Error {
  readonly code: ErrorCode;
  /** What the person can do about it. */
  readonly hint: string | undefined;
  /** Exit status of the process if this error ends it. */
  readonly exitCode: number;
  /** True if the same attempt may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** How long the other side asked us to wait, ms. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "SallyportError";
    this.code = code;
    this.hint = details.hint;
    [this.exitCode] = CODES[code];
    this.retryable = details.retryable ?? CODES[code][1];
    this.retryAfter = details.retryAfter;
  }
}

/** Gives `error` as a SallyportError: itself if it is one, else wrapped under `code`. */
export function asSallyportError(error: unknown, code: ErrorCode = "internal"): SallyportError {
  if (error instanceof SallyportError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SallyportError(code, message, { cause: error });
}
