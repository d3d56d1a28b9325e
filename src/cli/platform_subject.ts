/** Commands about one gateway or identity of the embedded platform: revoke, readmit, rotate. */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { subjectSettings } from "../config/platform.ts";
import { EXIT } from "../errors.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { withAdmin } from "./platform_admin.ts";

type Named = (name: string, flags: GivenFlags, context: CommandContext) => Promise<number>;

/** A command about one gateway or identity. */
function about(verb: string, brief: string, run: Named) {
  return command(
    verb,
    map(
      object({
        name: argument(string({ metavar: "NAME" }), { description: message`Its name or id.` }),
        flags: flagsOf(subjectSettings),
      }),
      ({ name, flags }): Action => (context) => run(name, flags, context),
    ),
    { usageLine: usageOf("NAME"), brief: [{ type: "text", text: brief }] },
  );
}

/** `platform gateways revoke` */
export const revokeGatewayCommand = about(
  "revoke",
  "Cut a gateway off: its session ends within seconds.",
  revokeGateway,
);

/** `platform gateways readmit` */
export const readmitGatewayCommand = about(
  "readmit",
  "Let a new gateway come under a revoked one's name.",
  readmitGateway,
);

/** `platform identity rotate` */
export const rotateIdentityCommand = about(
  "rotate",
  "Give an identity another client secret; prints it, once.",
  rotateIdentity,
);

/** `platform identity revoke` */
export const revokeIdentityCommand = about(
  "revoke",
  "Cut an identity off, and the gateways it registered.",
  revokeIdentity,
);

async function revokeGateway(
  gateway: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values: { data, organisation } } = load(subjectSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    const now = admin.revokeGateway({ gateway, organisation });
    context.err(
      now
        ? `The gateway "${gateway}" is revoked; relays drop it within ten seconds.`
        : `The gateway "${gateway}" was revoked before.`,
    );
    return EXIT.ok;
  });
}

async function readmitGateway(
  gateway: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values: { data, organisation } } = load(subjectSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    admin.readmitGateway({ gateway, organisation });
    context.err(`A new gateway may come under the name "${gateway}"; it gets an id of its own.`);
    return EXIT.ok;
  });
}

async function rotateIdentity(
  identity: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values: { data, organisation } } = load(subjectSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    const { clientId, clientSecret } = admin.rotateIdentity({ identity, organisation });
    context.err("The secret before holds no more. The new one is shown this once.");
    context.out(`client-id     ${clientId}`);
    context.out(`client-secret ${clientSecret}`);
    return EXIT.ok;
  });
}

async function revokeIdentity(
  identity: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { values: { data, organisation } } = load(subjectSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    const { gateways } = admin.revokeIdentity({ identity, organisation });
    const its = gateways.length > 0 ? `, and so are its gateways: ${gateways.join(", ")}` : "";
    context.err(`The identity "${identity}" is revoked${its}.`);
    return EXIT.ok;
  });
}
