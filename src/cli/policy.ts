/** `sallyport gateway policy …` */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { decide, OPEN_POLICY, type Question, type TargetPolicy } from "../channel/policy.ts";
import { commonSettings } from "../config/common.ts";
import { healthListenSetting, policySettings } from "../config/policy.ts";
import type { Settings } from "../config/setting.ts";
import { addressesOf } from "../egress/dial.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { parseHealthAddress } from "../health/address.ts";
import { formatAddress } from "../listen.ts";
import { parseTarget } from "./connect.ts";
import type { Action, CommandContext } from "./context.ts";
import { COMMAND_USAGE, lines } from "./help.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";

/** What is asked for here. A gateway's own configuration file may be given, with all that it has. */
const settings = {
  ...policySettings,
  healthListen: healthListenSetting,
  ...commonSettings,
} satisfies Settings;

const test = map(
  object({
    target: argument(string({ metavar: "HOST:PORT" }), {
      description: message`The target, as the platform would name it.`,
    }),
    flags: flagsOf(settings),
  }),
  ({ target, flags }): Action => (context) => testCommand(target, flags, context),
);

/** `gateway policy` */
export const policyCommand = command(
  "policy",
  or(command("test", test, {
    usageLine: usageOf("HOST:PORT"),
    brief:
      message`Say for each address of a target whether a gateway would connect to it, and why.`,
    footer: lines(
      "Status 0 if an address is allowed, 1 if none is.",
      "Example:",
      "  sallyport gateway policy test db.internal:5432 --allow '*.internal:5432'",
    ),
  })),
  { usageLine: COMMAND_USAGE, brief: message`The target policy, explained.` },
);

async function testCommand(
  text: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values } = load(settings, flags, context);
  const target = parseTarget(text, false);
  const host = target.host.replace(/^\[(.*)\]$/, "$1");
  const policy: TargetPolicy = {
    ...OPEN_POLICY,
    ...(values.allow && { allow: values.allow }),
    ...(values.deny && { deny: values.deny }),
    health: await healthAddress(values.healthListen),
  };
  const questions = (await lookUp(host)).map((address): Question => ({
    host,
    address,
    port: target.port,
  }));
  const verdicts = questions.map((question) => ({ question, ...decide(policy, question) }));
  for (const { question: { address, port }, allowed, why } of verdicts) {
    const where = formatAddress({ host: address, port });
    context.out(`${where} is ${allowed ? "allowed" : "refused"} ${why}`);
  }
  return verdicts.some(({ allowed }) => allowed) ? EXIT.ok : EXIT.failure;
}

async function healthAddress(listen: string): Promise<TargetPolicy["health"]> {
  const listens = parseHealthAddress(listen, "--health-listen");
  if (!listens || "path" in listens) return undefined;
  const { host, port } = listens;
  const [address] = host === "" ? ["0.0.0.0"] : await lookUp(host);
  return { host: address!, port };
}

async function lookUp(host: string): Promise<string[]> {
  try {
    return await addressesOf(host);
  } catch (cause) {
    throw new SallyportError("name-resolution", `${host}: no address is known for this name`, {
      hint: "a gateway could not connect to it either; check the name on this host",
      cause,
    });
  }
}
