/** Which of the ways in the settings mean. */
import type { Auth } from "../enroll/credentials.ts";
import { secretSource } from "../enroll/secret.ts";
import { SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import type { authSettings, enrolmentSettings } from "./common.ts";
import type { Loaded } from "./load.ts";
import type { Settings } from "./setting.ts";

type AuthLoaded = Loaded<typeof authSettings & Settings>;

const log = logger("config");

/**
 * A secret that a setting gives: `@path`, `-`, or the secret itself. One that stands on the command line is
 * taken, as scripts give it so, and warned of: every user of the host sees it there, proc(5).
 */
export function secretOf(text: string, from: string | undefined) {
  const source = secretSource(text, { what: from ?? "secret" });
  if (source.kind === "literal" && from?.startsWith("--")) {
    log.warn("the secret in {from} can be seen by every user of this host; {from} @path hides it", {
      from,
    });
  }
  return source;
}

type EnrolmentLoaded = Loaded<ReturnType<typeof enrolmentSettings> & Settings>;

/** Reads the way in of a gateway or relay, which may be enrolment. Throws as `readAuth`. */
export function readEnrolment(loaded: Pick<EnrolmentLoaded, "values" | "from">): Auth {
  const { values: { enrollMethod, token }, from } = loaded;
  if (enrollMethod === undefined) return readAuth(loaded);
  return {
    method: "enroll-token",
    token: token === undefined ? undefined : secretOf(token, from.token),
  };
}

/**
 * Reads the way in. A client id and secret without a token mean universal auth, with or without
 * `--auth-method`. Throws `usage` saying what is missing.
 */
export function readAuth({ values, from }: Pick<AuthLoaded, "values" | "from">): Auth {
  const { token, authMethod, clientId, clientSecret } = values;
  if (authMethod !== "universal-auth" && token !== undefined) {
    return { method: "token", token: secretOf(token, from.token) };
  }
  if (clientId !== undefined && clientSecret !== undefined) {
    return {
      method: "universal-auth",
      clientId,
      clientSecret: secretOf(clientSecret, from.clientSecret),
    };
  }
  if (authMethod === "universal-auth" || clientId !== undefined || clientSecret !== undefined) {
    const missing = clientId === undefined ? "--client-id" : "--client-secret";
    throw new SallyportError("usage", `universal auth needs ${missing}`, {
      hint: "give --client-id and --client-secret, or INFISICAL_UNIVERSAL_AUTH_CLIENT_ID and " +
        "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
    });
  }
  throw new SallyportError("usage", "no credentials are given", {
    hint: "give --token @path (or INFISICAL_TOKEN), or --auth-method universal-auth with " +
      "--client-id and --client-secret",
  });
}
