/** Runs the checks one after another; what fails stops only those that depend on it. */
import { dialer } from "../../egress/dial.ts";
import { httpFetch } from "../../egress/http.ts";
import { proxiedDialer } from "../../egress/proxy.ts";
import { asSallyportError, SallyportError } from "../../errors.ts";
import { redact } from "../../log.ts";
import { type Check, type CheckId, type CheckResult, type Outcome, skip } from "./check.ts";
import { CHECKS } from "./checks.ts";
import type { DoctorContext, DoctorOptions } from "./context.ts";
import { lookHere } from "./gateway_here.ts";

/** How the checks are followed. */
export interface Progress {
  /** Told of each result when it is there. */
  onResult?(result: CheckResult): void;
  /** Ends the checks: the one under way fails, the rest are skipped. */
  signal?: AbortSignal;
  /** @default all of them */
  checks?: readonly Check[];
}

/** Runs the checks and gives their results, without any secret. Never rejects. */
export async function diagnose(
  options: DoctorOptions,
  { onResult, signal, checks = CHECKS }: Progress = {},
): Promise<CheckResult[]> {
  const context = contextOf(options);
  const results = new Map<CheckId, CheckResult>();
  const blocked = new Map<CheckId, string>();
  try {
    for (const check of checks) {
      const started = performance.now();
      const blocking = obstacle(check, results, blocked, signal);
      if (blocking) blocked.set(check.id, blocking.root);
      const outcome = blocking?.outcome ?? await runCheck(check, context, signal);
      const ms = Math.round(performance.now() - started);
      const result = { id: check.id, title: check.title, ...cleaned(outcome), ms };
      results.set(check.id, result);
      onResult?.(result);
    }
  } finally {
    await context.owned.disposeAsync();
  }
  return [...results.values()];
}

/** Why a check cannot be run, if so: the first thing that went wrong before it is named. */
function obstacle(
  { needs }: Check,
  results: ReadonlyMap<CheckId, CheckResult>,
  blocked: Map<CheckId, string>,
  signal: AbortSignal | undefined,
): { outcome: Outcome; root: string } | undefined {
  if (signal?.aborted) return { outcome: skip("not tried: interrupted"), root: "" };
  for (const need of needs) {
    const before = results.get(need);
    if (before?.status !== "fail" && before?.status !== "skip") continue;
    const failed = before.status === "fail" ? "failed" : "could not be tried";
    const root = blocked.get(need) ?? `"${before.title}" ${failed}`;
    return { outcome: skip(`not tried, because ${root}`), root };
  }
  return undefined;
}

/** At its deadline a check has this long to say what it knows, ms. */
const GRACE = 500;

/** A check that does not heed its signal is left behind. */
async function runCheck(
  check: Check,
  context: DoctorContext,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const limit = context.timeout * (check.patience ?? 1);
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(new SallyportError("timeout", `no answer within ${limit} ms`));
  }, limit);
  const ends = signal ? AbortSignal.any([deadline.signal, signal]) : deadline.signal;
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {});
  let grace: ReturnType<typeof setTimeout> | undefined;
  const abort = () => grace = setTimeout(() => over.reject(ends.reason), GRACE);
  ends.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([(async () => await check.run(context, ends))(), over.promise]);
  } catch (error) {
    if (signal?.aborted) return skip("not finished: interrupted");
    const { message, hint, code } = asSallyportError(error);
    return { status: "fail", finding: message, ...(hint && { remedy: hint }), code };
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
    ends.removeEventListener("abort", abort);
  }
}

/** What a peer says must neither show a secret nor forge a line. */
function cleaned({ finding, remedy, ...rest }: Outcome): Outcome {
  // deno-lint-ignore no-control-regex
  const plain = (text: string) => redact(text).replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
  return {
    ...rest,
    finding: plain(finding),
    ...(remedy !== undefined && { remedy: plain(remedy) }),
  };
}

function contextOf(options: DoctorOptions): DoctorContext {
  const { now = Date.now, caFile, env, healthListen } = options;
  const dialDirectly = dialer("relay-unreachable", "connection to");
  return {
    ...options,
    now,
    facts: {},
    owned: new AsyncDisposableStack(),
    fetch: once(() => httpFetch(caFile)),
    dialDirectly,
    dial: proxiedDialer(dialDirectly, env),
    gatewayHere: once((signal: AbortSignal) => lookHere(healthListen, signal)),
  };
}

/** Asks at the first call, and again only after a failure. */
function once<A extends unknown[], T>(ask: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  let answer: Promise<T> | undefined;
  return (...args) => {
    if (answer) return answer;
    const asked = answer = ask(...args);
    asked.catch(() => answer = undefined);
    return asked;
  };
}
