/** `sallyport gateway start` */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { AuditOptions } from "../channel/audit.ts";
import { readEnrolment } from "../config/auth.ts";
import { stateDirectory } from "../config/directories.ts";
import { gatewaySettings } from "../config/gateway.ts";
import type { Values } from "../config/setting.ts";
import { httpFetch } from "../egress/http.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { KUBERNETES_FILES } from "../forward/kubernetes.ts";
import type { Action, CommandContext } from "./context.ts";
import { COMMAND_USAGE, examples } from "./help.ts";
import { keepOnly } from "./least_power.ts";
import { policyCommand } from "./policy.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";

const start = map(
  object({
    name: optional(argument(string({ metavar: "NAME" }), {
      description: message`The gateway's name on the platform.`,
    })),
    flags: flagsOf(gatewaySettings),
  }),
  ({ name, flags }): Action => (context) => startCommand(name, flags, context),
);

/** `sallyport gateway …` */
export const gatewayCommand = command(
  "gateway",
  or(
    command("start", start, {
      usageLine: usageOf("NAME"),
      brief: message`Run a gateway: dial out to a relay and serve private targets through it.`,
      footer: examples(
        "sallyport gateway start edge-1 --token @/etc/sallyport/token",
        "sallyport gateway start edge-1 --enroll-method token --token @token --domain https://a.example",
        "sallyport gateway start --config /etc/sallyport/gateway.yaml",
      ),
    }),
    policyCommand,
  ),
  { usageLine: COMMAND_USAGE, brief: message`The agent behind the firewall.` },
);

async function startCommand(
  argument: string | undefined,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const loaded = load(gatewaySettings, flags, context);
  const { values } = loaded;
  const name = argument ?? values.name;
  if (name === undefined) {
    throw new SallyportError("usage", "the gateway needs a name", {
      hint: "sallyport gateway start <name>",
    });
  }
  const { startGateway } = await import("../link/gateway.ts");
  const { notifyWhile } = await import("../service/notify.ts");
  const stateDir = values.stateDir ?? stateDirectory({ env: context.env });
  const keepalive = { interval: values.keepaliveInterval, timeout: values.keepaliveTimeout };
  const { finished, state, received } = await startGateway({
    name,
    domain: values.domain,
    auth: readEnrolment(loaded),
    fetch: await httpFetch(values.caFile),
    relayName: values.relay,
    stateDir,
    healthListen: values.healthListen,
    keepalive,
    targetTimeout: values.targetTimeout,
    idleTimeout: values.idleTimeout,
    maxChannels: values.maxChannels,
    drainTimeout: values.drainTimeout,
    policy: { allow: values.allow ?? [], deny: values.deny ?? [] },
    audit: auditOf(values),
  }, context.signal);
  const notified = context.env.NOTIFY_SOCKET;
  keepOnly(flags, values, context, {
    read: KUBERNETES_FILES,
    write: [stateDir, ...(notified?.startsWith("/") ? [notified] : [])],
  });
  await notifyWhile(finished, { state, received, keepalive, env: context.env });
  return EXIT.ok;
}

function auditOf(
  { auditFile: path, auditSize: size, auditKeep: keep }: Values<typeof gatewaySettings>,
): AuditOptions | undefined {
  return path === undefined ? undefined : { path, size, keep };
}
