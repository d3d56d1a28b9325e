/** Settings of `sallyport gateway start`, named as the Infisical CLI names them. */
import {
  caFileSetting,
  commonSettings,
  domainSetting,
  drainSetting,
  enrolmentSettings,
  logFileSettings,
} from "./common.ts";
import { auditSettings, healthListenSetting, policySettings } from "./policy.ts";
import { type Settings, span, text, whole } from "./setting.ts";

/** Of a gateway. */
export const gatewaySettings = {
  name: {
    flags: ["--name"],
    env: ["INFISICAL_GATEWAY_NAME"],
    metavar: "NAME",
    help: "The gateway's name, instead of the argument.",
    schema: text,
  },
  domain: domainSetting,
  caFile: caFileSetting,
  ...enrolmentSettings("gateway"),
  relay: {
    flags: ["--target-relay-name", "--relay-name", "--relay", "--proxy-name"],
    env: ["INFISICAL_RELAY_NAME", "INFISICAL_PROXY_NAME"],
    metavar: "NAME",
    help: "The relay (proxy server) to connect to.",
    schema: text,
    defaultHelp: "the nearest healthy one",
  },
  healthListen: healthListenSetting,
  keepaliveInterval: {
    flags: ["--keepalive-interval"],
    env: ["SALLYPORT_KEEPALIVE_INTERVAL"],
    metavar: "TIME",
    help: "How often the relay is asked for a sign of life.",
    schema: span,
    default: "10s",
  },
  keepaliveTimeout: {
    flags: ["--keepalive-timeout"],
    env: ["SALLYPORT_KEEPALIVE_TIMEOUT"],
    metavar: "TIME",
    help: "A relay that gives none within this time is taken for lost.",
    schema: span,
    default: "10s",
  },
  targetTimeout: {
    flags: ["--target-timeout"],
    env: ["SALLYPORT_TARGET_TIMEOUT"],
    metavar: "TIME",
    help: "Time for connecting to a target.",
    schema: span,
    default: "30s",
  },
  idleTimeout: {
    flags: ["--idle-timeout"],
    env: ["SALLYPORT_IDLE_TIMEOUT"],
    metavar: "TIME",
    help: "A TCP stream without a byte either way for this long is ended.",
    schema: span,
    defaultHelp: "never",
  },
  maxChannels: {
    flags: ["--max-channels"],
    env: ["SALLYPORT_MAX_CHANNELS"],
    metavar: "COUNT",
    help: "Streams at one time; more are refused.",
    schema: whole(1, 65_536),
    default: "2048",
  },
  drainTimeout: drainSetting("gateway"),
  ...policySettings,
  ...auditSettings,
  ...logFileSettings,
  ...commonSettings,
} satisfies Settings;
