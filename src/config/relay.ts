/** Settings of `sallyport relay start`, named as the Infisical CLI names them. */
import {
  caFileSetting,
  commonSettings,
  domainSetting,
  drainSetting,
  enrolmentSettings,
  logFileSettings,
  SECRET_HELP,
} from "./common.ts";
import { oneOf, type Settings, text, whole } from "./setting.ts";

/** Of a relay. */
export const relaySettings = {
  name: {
    flags: ["--name"],
    env: ["INFISICAL_RELAY_NAME"],
    metavar: "NAME",
    help: "The relay's name on the platform; gateways name it with --target-relay-name.",
    schema: text,
  },
  host: {
    flags: ["--host"],
    env: ["INFISICAL_RELAY_HOST"],
    metavar: "HOST",
    help: "Name or IP address at which gateways and the platform reach this relay.",
    schema: text,
  },
  type: {
    flags: ["--type"],
    env: ["INFISICAL_RELAY_TYPE"],
    metavar: "TYPE",
    help: "org: for one organisation; instance: for all, with the instance's relay secret.",
    schema: oneOf(["org", "instance"]),
    default: "org",
  },
  domain: domainSetting,
  caFile: caFileSetting,
  ...enrolmentSettings("relay"),
  relaySecret: {
    flags: ["--relay-auth-secret"],
    env: ["INFISICAL_RELAY_AUTH_SECRET"],
    metavar: "SECRET",
    help: `The instance's relay secret, for --type instance; ${SECRET_HELP}`,
    schema: text,
    secret: true,
  },
  sshListen: {
    flags: ["--ssh-listen"],
    env: ["SALLYPORT_SSH_LISTEN"],
    metavar: "ADDRESS",
    help: "Where gateways are waited for.",
    schema: text,
    default: ":2222",
  },
  tlsListen: {
    flags: ["--tls-listen"],
    env: ["SALLYPORT_TLS_LISTEN"],
    metavar: "ADDRESS",
    help: "Where the platform's clients are waited for.",
    schema: text,
    default: ":8443",
  },
  maxUnauthenticated: {
    flags: ["--max-unauthenticated"],
    env: ["SALLYPORT_MAX_UNAUTHENTICATED"],
    metavar: "COUNT",
    help:
      "Connections at each port that have not proved who they are, at one time; for one more, the longest waiting is closed.",
    schema: whole(1, 65_536),
    default: "1024",
  },
  maxUnauthenticatedPerAddress: {
    flags: ["--max-unauthenticated-per-address"],
    env: ["SALLYPORT_MAX_UNAUTHENTICATED_PER_ADDRESS"],
    metavar: "COUNT",
    help: "Of these, from one address (IPv6: one /64); gateways may share one.",
    schema: whole(1, 65_536),
    default: "512",
  },
  drainTimeout: drainSetting("relay"),
  ...logFileSettings,
  ...commonSettings,
} satisfies Settings;
