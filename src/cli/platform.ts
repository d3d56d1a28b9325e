/** `sallyport platform …`: the embedded platform and its administration. */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import {
  identitySettings,
  platformInitSettings,
  platformStartSettings,
  tokenSettings,
} from "../config/platform.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { parseListenAddress } from "../listen.ts";
import type { Action, CommandContext } from "./context.ts";
import { COMMAND_USAGE } from "./help.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { keepOnly } from "./least_power.ts";
import { dataDir, withAdmin } from "./platform_admin.ts";
import { gatewaysCommand, relaysCommand } from "./platform_list.ts";
import { revokeIdentityCommand, rotateIdentityCommand } from "./platform_subject.ts";

type Run = (flags: GivenFlags, context: CommandContext) => Promise<number>;

function leaf(name: string, settings: Parameters<typeof flagsOf>[0], brief: string, run: Run) {
  return command(
    name,
    map(flagsOf(settings), (flags): Action => (context) => run(flags, context)),
    { usageLine: usageOf(), brief: [{ type: "text", text: brief }] },
  );
}

const identityCreate = command(
  "create",
  map(
    object({
      name: argument(string({ metavar: "NAME" }), { description: message`Its name.` }),
      flags: flagsOf(identitySettings),
    }),
    ({ name, flags }): Action => (context) => createIdentity(name, flags, context),
  ),
  {
    usageLine: usageOf("NAME"),
    brief: message`Create a machine identity; prints its client id and secret, once.`,
  },
);

/** `sallyport platform …` */
export const platformCommand = command(
  "platform",
  or(
    leaf("init", platformInitSettings, "Create the platform's data, authorities and keys.", init),
    leaf("start", platformStartSettings, "Serve the platform's API.", start),
    command("identity", or(identityCreate, rotateIdentityCommand, revokeIdentityCommand), {
      usageLine: COMMAND_USAGE,
      brief: message`Machine identities.`,
    }),
    command(
      "token",
      or(leaf("create", tokenSettings, "Create a token; prints it, once.", createToken)),
      { usageLine: COMMAND_USAGE, brief: message`Access and enrolment tokens.` },
    ),
    gatewaysCommand,
    relaysCommand,
  ),
  {
    usageLine: COMMAND_USAGE,
    brief: message`A small platform of its own, for one machine, trials and tests.`,
  },
);

async function init(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values } = load(platformInitSettings, flags, context);
  const dir = dataDir(values.data, context);
  const { initPlatform } = await import("../platform/admin.ts");
  const { organisation, relaySecret } = await initPlatform({
    dataDir: dir,
    organisation: values.organisation,
    keyType: values.keyType,
    keyFile: values.keyFile,
  });
  context.err(`Platform created in ${dir}, with the organisation "${organisation.name}".`);
  context.err("The secret of instance relays, shown this once (--type instance):");
  context.out(relaySecret);
  return EXIT.ok;
}

async function start(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values } = load(platformStartSettings, flags, context);
  const { startPlatform } = await import("../platform/platform.ts");
  const directory = dataDir(values.data, context);
  keepOnly(flags, values, context, { write: [directory] });
  const { url, finished } = await startPlatform({
    dataDir: directory,
    listen: parseListenAddress(values.listen, "--listen"),
    tlsHost: values.tlsHost,
    limits: {
      connections: values.maxConnections,
      connectionsPerAddress: values.maxConnectionsPerAddress,
      requests: values.maxRequests,
      anonymousRequests: values.maxAnonymousRequests,
      failedLogins: values.maxFailedLogins,
    },
  }, context.signal);
  context.err(`The platform serves ${url}; give it to gateways and relays with --domain.`);
  await finished;
  return EXIT.ok;
}

async function createIdentity(
  name: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values: { data, organisation, roles } } = load(identitySettings, flags, context);
  return await withAdmin(data, context, async (admin) => {
    const { clientId, clientSecret } = await admin.createIdentity({ name, roles, organisation });
    context.err(`Identity "${name}" may: ${roles.join(", ")}. Its secret is shown this once.`);
    context.out(`client-id     ${clientId}`);
    context.out(`client-secret ${clientSecret}`);
    return EXIT.ok;
  });
}

async function createToken(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values } = load(tokenSettings, flags, context);
  const { identity, gateway, relay, organisation, ttl, replace: grace } = values;
  const asked = [identity, gateway, relay].filter((name) => name !== undefined);
  if (asked.length !== 1) {
    throw new SallyportError("usage", "a token is for one identity, gateway or relay", {
      hint: "give one of --identity NAME, --gateway NAME and --relay NAME",
    });
  }
  if (grace !== undefined && identity === undefined) {
    throw new SallyportError("usage", "--replace needs --identity", {
      hint: "a gateway's or relay's own token ends when it is enrolled anew",
    });
  }
  return await withAdmin(values.data, context, async (admin) => {
    const { token, expires } = identity !== undefined
      ? await admin.createIdentityToken({ identity, organisation, ttl, grace })
      : gateway !== undefined
      ? await admin.createGatewayToken({ gateway, organisation, ttl })
      : await admin.createRelayToken({ relay: relay!, organisation, ttl });
    const until = expires ? ` It can be used until ${expires.toISOString()}.` : "";
    context.err(`The token is shown this once.${until}`);
    context.out(token);
    return EXIT.ok;
  });
}
