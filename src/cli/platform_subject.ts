/** Commands about one gateway, relay or identity of the embedded platform: revoke, readmit, rotate. */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { subjectSettings } from "../config/platform.ts";
import { EXIT } from "../errors.ts";
import type { PlatformAdmin } from "../platform/admin.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, load, usageOf } from "./flags.ts";
import { withAdmin } from "./platform_admin.ts";

/** Does it to one of an organisation, and says so. */
type Run = (
  admin: PlatformAdmin,
  subject: { name: string; organisation?: string },
  context: CommandContext,
) => void;

/** A command about one of them. */
function about(verb: string, brief: string, run: Run) {
  return command(
    verb,
    map(
      object({
        name: argument(string({ metavar: "NAME" }), { description: message`Its name or id.` }),
        flags: flagsOf(subjectSettings),
      }),
      ({ name, flags }): Action => async (context) => {
        const { values: { data, organisation } } = load(subjectSettings, flags, context);
        return await withAdmin(data, context, (admin) => {
          run(admin, { name, organisation }, context);
          return EXIT.ok;
        });
      },
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

/** `platform relays revoke` */
export const revokeRelayCommand = about(
  "revoke",
  "Cut a relay off: it stops, and no gateway is sent to it.",
  revokeRelay,
);

/** `platform relays readmit` */
export const readmitRelayCommand = about(
  "readmit",
  "Let a new relay come under a revoked one's name.",
  readmitRelay,
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
  "Cut an identity off, and the gateways and relays it registered.",
  revokeIdentity,
);

function revokeGateway(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  const now = admin.revokeGateway({ gateway: name, organisation });
  context.err(
    now
      ? `The gateway "${name}" is revoked; relays drop it within ten seconds.`
      : `The gateway "${name}" was revoked before.`,
  );
}

function readmitGateway(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  admin.readmitGateway({ gateway: name, organisation });
  context.err(`A new gateway may come under the name "${name}"; it gets an id of its own.`);
}

function revokeRelay(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  const now = admin.revokeRelay({ relay: name, organisation });
  context.err(
    now
      ? `The relay "${name}" is revoked; it stops within ten seconds, and its gateways go elsewhere.`
      : `The relay "${name}" was revoked before.`,
  );
}

function readmitRelay(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  admin.readmitRelay({ relay: name, organisation });
  context.err(`A new relay may come under the name "${name}".`);
}

function rotateIdentity(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  const { clientId, clientSecret } = admin.rotateIdentity({ identity: name, organisation });
  context.err("The secret before holds no more. The new one is shown this once.");
  context.out(`client-id     ${clientId}`);
  context.out(`client-secret ${clientSecret}`);
}

function revokeIdentity(...[admin, { name, organisation }, context]: Parameters<Run>): void {
  const { gateways, relays } = admin.revokeIdentity({ identity: name, organisation });
  const all = [...gateways, ...relays];
  const its = all.length > 0 ? `, and so is what it registered: ${all.join(", ")}` : "";
  context.err(`The identity "${name}" is revoked${its}.`);
}
