/**
 * The credentials are taken by the platform. Nothing is used up or changed: universal auth logs in, which
 * gives one more token; a one-time enrolment token is left alone; the list of relays is asked for.
 */
import { createHash } from "node:crypto";
import { apiBase } from "../../../enroll/call.ts";
import { type Auth, authorisedApi } from "../../../enroll/credentials.ts";
import { secretSource } from "../../../enroll/secret.ts";
import { StateFile } from "../../../enroll/state.ts";
import { SallyportError } from "../../../errors.ts";
import { type Check, fail, type Outcome, pass, skip, warn } from "../check.ts";
import type { DoctorContext } from "../context.ts";

/** See above. */
export const credentials: Check = {
  id: "credentials",
  title: "credentials",
  needs: ["api"],
  async run(context, signal) {
    try {
      return await look(context, signal);
    } catch (error) {
      const { code, message, cause } = error as SallyportError & { cause?: { code?: string } };
      if (!(error instanceof SallyportError) || cause?.code !== "EACCES") throw error;
      return fail(message, "run doctor as root (sudo), or as the user whom the gateway is", code);
    }
  },
};

async function look(context: DoctorContext, signal: AbortSignal): Promise<Outcome> {
  const auth = context.auth();
  if (auth.method !== "enroll-token") return await tryOut(auth, context, signal);
  const saved = await new StateFile(context.stateDir, context.name).load();
  const base = apiBase(context.domain);
  const oneTime = await auth.token?.read().catch((error) => {
    // The file of a spent token may be gone.
    if (saved) return undefined;
    throw error;
  });
  if (!saved && oneTime === undefined) return notEnrolled();
  const hash = oneTime && createHash("sha256").update(oneTime).digest("hex");
  if (!saved || hash !== undefined && hash !== saved.enrolment) return unspent();
  if (saved.domain !== base) return otherPlatform(context, saved.domain, base);
  const own: Auth = { method: "token", token: secretSource(saved.accessToken) };
  return await tryOut(own, context, signal, "the enrolled gateway's own token");
}

function notEnrolled(): Outcome {
  return fail(
    "this gateway is not enrolled yet, and no enrolment token is given",
    "create an enrolment token on the platform and give it with --enroll-method token --token @FILE",
    "credentials-refused",
  );
}

function unspent(): Outcome {
  return skip(
    "the enrolment token is not tried, because it works only once",
    "sallyport gateway start trades it for the gateway's own token; run doctor again after that",
  );
}

function otherPlatform({ stateDir }: DoctorContext, theirs: string, ours: string): Outcome {
  return fail(
    `this gateway is enrolled with ${theirs}, not with ${ours} (${stateDir})`,
    "give the --domain that it was enrolled with, or a new enrolment token",
    "state",
  );
}

async function tryOut(
  auth: Exclude<Auth, { method: "enroll-token" }>,
  context: DoctorContext,
  signal: AbortSignal,
  what = auth.method === "token" ? "the token" : "universal auth",
): Promise<Outcome> {
  const real = await context.fetch();
  let status = 0;
  const watched: typeof fetch = async (input, init) => {
    const response = await real(input, init);
    status = response.status;
    return response;
  };
  const { domain, timeout, facts } = context;
  const make = (way: typeof fetch) =>
    authorisedApi(auth, { domain, fetch: way, timeout: timeout * 2 });
  try {
    facts.relays = await make(watched).relays(signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SallyportError)) throw error;
    const { code, message, hint } = error;
    if (code === "file") throw error;
    const mayNotList = code === "api-not-found" || code === "credentials-refused" && status === 403;
    if (!mayNotList) return fail(message, hint, code);
    facts.api = make(real);
    return warn(
      `${what}: it may not list relays (${status}), or has expired; the registration below tells`,
    );
  }
  facts.api = make(real);
  const { length } = facts.relays;
  return pass(`${what} is taken; the platform knows ${length} relay${length === 1 ? "" : "s"}`);
}
