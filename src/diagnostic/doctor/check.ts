/** What one check of `sallyport doctor` is, and what it finds. Pure. */
import type { ErrorCode } from "../../errors.ts";
import type { DoctorContext } from "./context.ts";

/** Names of the checks, as JSON, documentation and scripts know them. */
export type CheckId =
  | "platform-name"
  | "proxy"
  | "platform-port"
  | "platform-tls"
  | "api"
  | "clock"
  | "credentials"
  | "registration"
  | "relay-name"
  | "relay-port"
  | "relay-ssh"
  | "host-certificate"
  | "gateway"
  | "relay-login"
  | "round-trip"
  | "files"
  | "service";

/** How a check ended; `warn` and `skip` are no failures. */
export type Status = "pass" | "warn" | "fail" | "skip";

/** What a check found. */
export interface Outcome {
  status: Status;
  /** One sentence. */
  finding: string;
  /** What the person can do about it, one sentence or command. */
  remedy?: string;
  /** What kind of failure, as the table in errors.ts names it. */
  code?: ErrorCode;
}

/** One thing that is looked at. */
export interface Check {
  id: CheckId;
  /** What a person calls it, a few words. */
  title: string;
  /** Checks that must not have failed or been skipped; else this one is skipped. */
  needs: readonly CheckId[];
  /** Time for it, as a multiple of the context's `timeout`. @default 1 */
  patience?: number;
  /** Looks. What it throws is a failure as well. */
  run(context: DoctorContext, signal: AbortSignal): Promise<Outcome> | Outcome;
}

/** A check that was run, or skipped. */
export interface CheckResult extends Outcome {
  id: CheckId;
  title: string;
  /** How long it took. */
  ms: number;
}

/** It is as it should be. */
export function pass(finding: string): Outcome {
  return { status: "pass", finding };
}

/** It works, or may; a person should know all the same. */
export function warn(finding: string, remedy?: string): Outcome {
  return { status: "warn", finding, ...(remedy !== undefined && { remedy }) };
}

/** It was not tried, for this reason. */
export function skip(finding: string, remedy?: string): Outcome {
  return { status: "skip", finding, ...(remedy !== undefined && { remedy }) };
}

/** It is wrong. */
export function fail(finding: string, remedy?: string, code?: ErrorCode): Outcome {
  return {
    status: "fail",
    finding,
    ...(remedy !== undefined && { remedy }),
    ...(code !== undefined && { code }),
  };
}
