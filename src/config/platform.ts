/** Settings of `sallyport platform …`. */
import * as z from "zod";
import { commonSettings, jsonSetting, logFileSettings } from "./common.ts";
import { duration, oneOf, type Settings, text, whole } from "./setting.ts";

/** Where the platform keeps everything. */
const dataSetting = {
  flags: ["--data"],
  env: ["SALLYPORT_PLATFORM_DATA"],
  metavar: "DIR",
  help: "Where the platform keeps its database and its key file.",
  schema: text,
  defaultHelp: "platform/ in this user's state directory",
} as const;

/** Which organisation is meant. */
const organisationSetting = {
  flags: ["--org"],
  metavar: "NAME",
  help: "The organisation.",
  schema: text,
  defaultHelp: "the only one",
} as const;

/** `platform start` */
export const platformStartSettings = {
  data: dataSetting,
  listen: {
    flags: ["--listen"],
    env: ["SALLYPORT_PLATFORM_LISTEN"],
    metavar: "ADDRESS",
    help: "Where the API is served.",
    schema: text,
    default: "127.0.0.1:8080",
  },
  tlsHost: {
    flags: ["--tls-host"],
    env: ["SALLYPORT_PLATFORM_TLS_HOST"],
    metavar: "HOST",
    help:
      "Serve https, with a certificate of the platform's own authority for this name or address.",
    schema: text,
    defaultHelp: "plain http, for loopback",
  },
  maxConnections: {
    flags: ["--max-connections"],
    env: ["SALLYPORT_PLATFORM_MAX_CONNECTIONS"],
    metavar: "COUNT",
    help: "Connections at one time; beyond, the oldest of whoever has most is closed.",
    schema: whole(1, 65_536),
    default: "1024",
  },
  maxConnectionsPerAddress: {
    flags: ["--max-connections-per-address"],
    env: ["SALLYPORT_PLATFORM_MAX_CONNECTIONS_PER_ADDRESS"],
    metavar: "COUNT",
    help: "Connections of one address (IPv6: /64) at one time; beyond, its oldest is closed.",
    schema: whole(1, 65_536),
    default: "256",
  },
  maxRequests: {
    flags: ["--max-requests"],
    env: ["SALLYPORT_PLATFORM_MAX_REQUESTS"],
    metavar: "COUNT",
    help: "Requests a minute of one identity, gateway or relay; more are answered 429.",
    schema: whole(1, 1_000_000),
    default: "600",
  },
  maxAnonymousRequests: {
    flags: ["--max-anonymous-requests"],
    env: ["SALLYPORT_PLATFORM_MAX_ANONYMOUS_REQUESTS"],
    metavar: "COUNT",
    help: "Requests a minute of one address (IPv6: /64) without a token known to be good.",
    schema: whole(1, 1_000_000),
    default: "300",
  },
  maxFailedLogins: {
    flags: ["--max-failed-logins"],
    env: ["SALLYPORT_PLATFORM_MAX_FAILED_LOGINS"],
    metavar: "COUNT",
    help: "Wrong tokens and logins a minute of one address (IPv6: /64); then 429.",
    schema: whole(1, 1_000_000),
    default: "20",
  },
  ...logFileSettings,
  ...commonSettings,
} satisfies Settings;

/** `platform init` */
export const platformInitSettings = {
  data: dataSetting,
  organisation: {
    flags: ["--org"],
    metavar: "NAME",
    help: "The name of the first organisation.",
    schema: text,
    default: "default",
  },
  keyType: {
    flags: ["--key-type"],
    metavar: "TYPE",
    help: "Keys of all authorities and certificates: ecdsa, rsa or ed25519.",
    schema: oneOf(["ecdsa", "rsa", "ed25519"]),
    default: "ecdsa",
  },
  keyFile: {
    flags: ["--key-file"],
    metavar: "FILE",
    help: "Where the key that seals all private keys is made: best on another disk than the data.",
    schema: text,
    defaultHelp: "platform.key beside the database",
  },
  ...commonSettings,
} satisfies Settings;

/** `platform identity create` */
export const identitySettings = {
  data: dataSetting,
  organisation: organisationSetting,
  roles: {
    flags: ["--role"],
    metavar: "ROLES",
    help: "What it may do: gateway (run gateways), relay (run relays), client (connect); " +
      "several with commas.",
    schema: text.transform((given) => given.split(",").map((role) => role.trim()))
      .pipe(z.array(z.enum(["gateway", "relay", "client"], "a role is gateway, relay or client"))),
    default: "gateway",
  },
  ...commonSettings,
} satisfies Settings;

/** `platform token create` */
export const tokenSettings = {
  data: dataSetting,
  organisation: organisationSetting,
  identity: {
    flags: ["--identity"],
    metavar: "NAME",
    help: "An access token for this identity, for --token.",
    schema: text,
  },
  gateway: {
    flags: ["--gateway"],
    metavar: "NAME",
    help: "A one-time enrolment token for a gateway of this name.",
    schema: text,
  },
  relay: {
    flags: ["--relay"],
    metavar: "NAME",
    help: "A one-time enrolment token for a relay of this name.",
    schema: text,
  },
  ttl: {
    flags: ["--ttl"],
    metavar: "TIME",
    help: "How long it can be used, such as 30m, 12h or 90d.",
    schema: duration,
    defaultHelp: "for ever for access tokens, 1h for one-time tokens",
  },
  replace: {
    flags: ["--replace"],
    metavar: "TIME",
    help: "With --identity: its other tokens end after this time, such as 0s or 1h.",
    schema: duration,
    defaultHelp: "they stay",
  },
  ...commonSettings,
} satisfies Settings;

/** `platform gateways revoke`, `relays revoke`, `identity revoke` and the like */
export const subjectSettings = {
  data: dataSetting,
  organisation: organisationSetting,
  ...commonSettings,
} satisfies Settings;

/** `platform gateways` and `platform relays` */
export const listSettings = {
  data: dataSetting,
  json: jsonSetting,
  ...commonSettings,
} satisfies Settings;
