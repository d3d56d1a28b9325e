/** Settings of what a gateway lets through, and of what it writes down about it. */
import * as z from "zod";
import { readRules } from "../channel/policy.ts";
import { RULE_FORMS } from "../channel/policy_rule.ts";
import { DEFAULT_HEALTH_LISTEN } from "../health/address.ts";
import { bytes, type Settings, text, whole } from "./setting.ts";

const rules = text.transform((given, context) => {
  const read = readRules(given);
  if (typeof read !== "string") return read;
  context.addIssue(read);
  return z.NEVER;
});

/** Where a gateway's health is served; the policy keeps targets away from it. */
export const healthListenSetting = {
  flags: ["--health-listen"],
  env: ["SALLYPORT_HEALTH_LISTEN"],
  metavar: "ADDRESS",
  help: "Where its status page, /readyz, /status and /metrics are served: host:port, " +
    "unix:/path, or off.",
  schema: text,
  default: DEFAULT_HEALTH_LISTEN,
} as const;

/** Which targets may be reached. */
export const policySettings = {
  allow: {
    flags: ["--allow"],
    env: ["SALLYPORT_ALLOW"],
    metavar: "RULES",
    help: `Targets that may be reached; then no others may. ${RULE_FORMS}; again for more, ` +
      "or with commas.",
    schema: rules,
    repeatable: true,
    defaultHelp: "all but link-local, metadata, multicast, broadcast and health addresses",
  },
  deny: {
    flags: ["--deny"],
    env: ["SALLYPORT_DENY"],
    metavar: "RULES",
    help: "Targets that may not be reached, whatever --allow says; written like it.",
    schema: rules,
    repeatable: true,
  },
} satisfies Settings;

/** Who reached what. */
export const auditSettings = {
  auditFile: {
    flags: ["--audit-file"],
    env: ["SALLYPORT_AUDIT_FILE"],
    metavar: "FILE",
    help:
      "Append a JSON line here when a connection opens and when it closes: who, where, how much.",
    schema: text,
    defaultHelp: "none",
  },
  auditSize: {
    flags: ["--audit-size"],
    env: ["SALLYPORT_AUDIT_SIZE"],
    metavar: "SIZE",
    help: "A fuller audit file is renamed to FILE.1, and a new one begun.",
    schema: bytes,
    default: "10M",
  },
  auditKeep: {
    flags: ["--audit-keep"],
    env: ["SALLYPORT_AUDIT_KEEP"],
    metavar: "COUNT",
    help: "How many renamed audit files are kept.",
    schema: whole(1, 10_000),
    default: "10",
  },
} satisfies Settings;
