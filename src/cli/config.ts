/** `sallyport config …`: what the settings are, and where each comes from. */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { command, flag } from "@optique/core/primitives";
import { readAuth } from "../config/auth.ts";
import { connectSettings } from "../config/connect.ts";
import { gatewaySettings } from "../config/gateway.ts";
import { explainSettings, type Loaded, type Shown } from "../config/load.ts";
import { platformStartSettings } from "../config/platform.ts";
import { relaySettings } from "../config/relay.ts";
import type { Settings } from "../config/setting.ts";
import { apiBase } from "../enroll/call.ts";
import { EXIT } from "../errors.ts";
import { parseListenAddress } from "../listen.ts";
import { redact, withoutUserinfo } from "../log.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, sourcesOf, usageOf } from "./flags.ts";
import { COMMAND_USAGE, examples } from "./help.ts";
import { table } from "./table.ts";

/** What a configuration file can be for. */
export const configurable = {
  gateway: gatewaySettings,
  relay: relaySettings,
  connect: connectSettings,
  platform: platformStartSettings,
} satisfies Record<string, Settings>;

type Role = keyof typeof configurable;
type Run = (role: Role, flags: GivenFlags, context: CommandContext) => number;

function leaf(
  role: Role,
  verb: string,
  run: Run,
  flags: Parser<"sync", GivenFlags, unknown> = flagsOf(configurable[role]),
) {
  return command(
    role,
    map(flags, (given): Action => (context) => Promise.resolve(run(role, given, context))),
    {
      usageLine: usageOf(),
      brief: [{
        type: "text",
        text: `Of sallyport ${role === "connect" ? role : `${role} start`}.`,
      }],
      footer: examples(`sallyport config ${verb} ${role} --config ${role}.yaml`),
    },
  );
}

function printer(role: Role) {
  const parser = map(
    object({
      given: flagsOf(configurable[role]),
      json: optional(flag("--json", { description: message`Print JSON.` })),
    }),
    ({ given, json }): GivenFlags => ({ ...given, json: json ? "true" : undefined }),
  );
  return leaf(role, "print", print, parser);
}

/** `sallyport config …` */
export const configCommand = command(
  "config",
  or(
    command(
      "check",
      or(
        leaf("gateway", "check", check),
        leaf("relay", "check", check),
        leaf("connect", "check", check),
        leaf("platform", "check", check),
      ),
      {
        usageLine: COMMAND_USAGE,
        brief: message`Say whether flags, environment and file make sense; connects to nothing.`,
      },
    ),
    command(
      "print",
      or(printer("gateway"), printer("relay"), printer("connect"), printer("platform")),
      {
        usageLine: COMMAND_USAGE,
        brief: message`Show every setting, its value, and where that comes from; no secret.`,
      },
    ),
    command("schema", map(object({}), (): Action => schema), {
      usageLine: [],
      brief: message`Print the JSON Schema of a configuration file.`,
    }),
  ),
  { usageLine: COMMAND_USAGE, brief: message`Check or show the configuration.` },
);

async function schema(context: CommandContext): Promise<number> {
  const { configSchema } = await import("../config/schema.ts");
  context.out(JSON.stringify(configSchema(configurable), null, 2));
  return EXIT.ok;
}

function check(role: Role, flags: GivenFlags, context: CommandContext): number {
  const loaded = load<Settings>(configurable[role], flags, context);
  const sources = sourcesOf(flags, context);
  const { unused } = explainSettings(configurable[role], sources);
  verify[role](loaded as Loaded<never>);
  for (const key of unused) {
    context.err(`warning: "${key}" in ${sources.file} is no setting of ${role}: not used`);
  }
  const file = sources.file === undefined ? "" : `, with ${sources.file}`;
  context.out(`the configuration of ${role} makes sense${file}`);
  return EXIT.ok;
}

/** What is read later than the settings, without a connection: throws as the command would. */
const verify: { [R in Role]: (loaded: Loaded<typeof configurable[R]>) => void } = {
  gateway(loaded) {
    const { domain, enrollMethod, healthListen } = loaded.values;
    apiBase(domain);
    if (enrollMethod === undefined) readAuth(loaded);
    if (healthListen !== "off" && !healthListen.startsWith("unix:")) {
      parseListenAddress(healthListen, "--health-listen");
    }
  },
  relay(loaded) {
    const { domain, type, relaySecret, sshListen, tlsListen } = loaded.values;
    apiBase(domain);
    if (type !== "instance" || relaySecret === undefined) readAuth(loaded);
    parseListenAddress(sshListen, "--ssh-listen");
    parseListenAddress(tlsListen, "--tls-listen");
  },
  connect(loaded) {
    apiBase(loaded.values.domain);
    readAuth(loaded);
    parseListenAddress(loaded.values.listen, "--listen");
  },
  platform: ({ values }) => void parseListenAddress(values.listen, "--listen"),
};

function print(role: Role, { json, ...flags }: GivenFlags, context: CommandContext): number {
  const sources = { ...sourcesOf(flags, context), openFile: true };
  const { shown } = explainSettings(configurable[role], sources);
  const rows = shown.map((one) => ({ setting: one.key, value: valueOf(one), from: one.from }));
  if (json) {
    const entries = rows.map(({ setting, value, from }) => [setting, { value, from }]);
    context.out(JSON.stringify(Object.fromEntries(entries), null, 2));
  } else {
    context.out(table(rows, ["setting", "value", "from"]));
  }
  return EXIT.ok;
}

function valueOf({ setting, text }: Shown): string | undefined {
  if (text === undefined) {
    return setting.defaultHelp === undefined ? undefined : `(${setting.defaultHelp})`;
  }
  if (/^(@|-$)/.test(text) && setting.secret) return text;
  if (setting.secret) return "[secret]";
  return redact(setting.metavar === "URL" ? withoutUserinfo(text) : text);
}
