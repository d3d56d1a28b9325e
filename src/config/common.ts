/** Settings that every command, or several of them, have. */
import { DEFAULT_DOMAIN } from "../enroll/call.ts";
import { LOG_FORMATS, LOG_LEVELS } from "../log.ts";
import { bytes, duration, oneOf, presence, type Settings, text, whole } from "./setting.ts";

/** Of every command. */
export const commonSettings = {
  logLevel: {
    flags: ["--log-level"],
    env: ["SALLYPORT_LOG_LEVEL"],
    metavar: "LEVEL",
    help: "How much is logged: debug, info, warn or error.",
    schema: oneOf(LOG_LEVELS),
    default: "info",
  },
  logFormat: {
    flags: ["--log-format"],
    env: ["SALLYPORT_LOG_FORMAT"],
    metavar: "FORMAT",
    help: "How a line is written: text, or json (one object a line).",
    schema: oneOf(LOG_FORMATS),
    default: "text",
  },
} satisfies Settings;

/** Of the commands that go on until they are stopped, and for which nobody may be watching. */
export const logFileSettings = {
  logFile: {
    flags: ["--log-file"],
    env: ["SALLYPORT_LOG_FILE"],
    metavar: "FILE",
    help: "Where logs are written, instead of to standard error.",
    schema: text,
  },
  logFileSize: {
    flags: ["--log-file-size"],
    env: ["SALLYPORT_LOG_FILE_SIZE"],
    metavar: "SIZE",
    help: "A log file of this size becomes FILE.1, that one FILE.2, and so on.",
    schema: bytes,
    default: "10M",
  },
  logFileCount: {
    flags: ["--log-file-count"],
    env: ["SALLYPORT_LOG_FILE_COUNT"],
    metavar: "COUNT",
    help: "How many older log files are kept.",
    schema: whole(0, 1000),
    default: "5",
  },
} satisfies Settings;

/** Of commands that print something. */
export const jsonSetting = {
  flags: ["--json"],
  metavar: "",
  help: "Print JSON.",
  schema: presence,
  presence: true,
} as const;

/** Where the platform is. */
export const domainSetting = {
  flags: ["--domain"],
  env: ["INFISICAL_DOMAIN", "INFISICAL_API_URL"],
  metavar: "URL",
  help: "The platform: Infisical (US or EU), a self-hosted one, or sallyport's own.",
  schema: text,
  default: DEFAULT_DOMAIN,
} as const;

/** Whom to trust for the platform's https. */
export const caFileSetting = {
  flags: ["--ca-file"],
  env: ["SALLYPORT_CA_FILE", "SSL_CERT_FILE"],
  metavar: "FILE",
  help: "Authorities (PEM) trusted for the platform's https, beside the system's.",
  schema: text,
} as const;

/** What is said of every secret. */
export const SECRET_HELP = "@path reads it from a file, - from standard input.";

/** How a gateway, a relay or a client proves who it is. */
export const authSettings = {
  token: {
    flags: ["--token"],
    env: ["INFISICAL_TOKEN"],
    metavar: "SECRET",
    help: `Access token of a machine identity; ${SECRET_HELP}`,
    schema: text,
    secret: true,
  },
  authMethod: {
    flags: ["--auth-method"],
    env: ["INFISICAL_AUTH_METHOD"],
    metavar: "METHOD",
    help: "universal-auth: log in with --client-id and --client-secret.",
    schema: oneOf(["universal-auth"]),
  },
  clientId: {
    flags: ["--client-id"],
    env: ["INFISICAL_UNIVERSAL_AUTH_CLIENT_ID"],
    metavar: "ID",
    help: "Client id for universal auth.",
    schema: text,
  },
  clientSecret: {
    flags: ["--client-secret"],
    env: ["INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET"],
    metavar: "SECRET",
    help: `Client secret for universal auth; ${SECRET_HELP}`,
    schema: text,
    secret: true,
  },
} satisfies Settings;

/** How a gateway or a relay proves who it is: as everybody, or enrolled with a one-time token. */
export function enrolmentSettings(what: "gateway" | "relay") {
  return {
    ...authSettings,
    token: {
      ...authSettings.token,
      help:
        `Access token, or with --enroll-method token the one-time enrolment token; ${SECRET_HELP}`,
    },
    enrollMethod: {
      flags: ["--enroll-method"],
      env: ["INFISICAL_ENROLL_METHOD"],
      metavar: "METHOD",
      help: `token: trade a one-time token for the ${what}'s own, kept in the state directory.`,
      schema: oneOf(["token"]),
    },
    stateDir: {
      flags: ["--state-dir"],
      env: ["SALLYPORT_STATE_DIR", "STATE_DIRECTORY"],
      metavar: "DIR",
      help: `Where an enrolled ${what}'s token is kept.`,
      schema: text,
      defaultHelp: "this user's state directory",
    },
  } as const satisfies Settings;
}

/** How long open streams may go on when `what` is told to stop. */
export function drainSetting(what: "gateway" | "relay") {
  return {
    flags: ["--drain-timeout"],
    env: ["SALLYPORT_DRAIN_TIMEOUT"],
    metavar: "TIME",
    help: `How long open streams may go on when the ${what} is told to stop.`,
    schema: duration,
    default: "10s",
  } as const;
}
