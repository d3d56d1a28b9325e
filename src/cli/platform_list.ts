/** `sallyport platform gateways` and `platform relays`: the lists, and what can be done to one of them. */
import { or } from "@optique/core/constructs";
import { map, withDefault } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { listSettings } from "../config/platform.ts";
import { EXIT } from "../errors.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { withAdmin } from "./platform_admin.ts";
import {
  readmitGatewayCommand,
  readmitRelayCommand,
  revokeGatewayCommand,
  revokeRelayCommand,
} from "./platform_subject.ts";
import { table } from "./table.ts";

type Run = (flags: GivenFlags, context: CommandContext) => Promise<number>;

/** `platform gateways` */
export const gatewaysCommand = listed(
  "gateways",
  "List gateways; revoke one.",
  [revokeGatewayCommand, readmitGatewayCommand],
  listGateways,
);

/** `platform relays` */
export const relaysCommand = listed(
  "relays",
  "List relays; revoke one.",
  [revokeRelayCommand, readmitRelayCommand],
  listRelays,
);

function listed(
  name: string,
  brief: string,
  [revoke, readmit]: readonly [typeof revokeGatewayCommand, typeof readmitGatewayCommand],
  list: Run,
) {
  return command(
    name,
    // Without a word more there is nothing for `or` to choose by.
    withDefault(
      or(
        revoke,
        readmit,
        map(flagsOf(listSettings), (flags): Action => (context) => list(flags, context)),
      ),
      (): Action => (context) => list({ config: undefined }, context),
    ),
    { usageLine: usageOf(), brief: [{ type: "text", text: brief }] },
  );
}

async function listGateways(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values: { data, json } } = load(listSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    print(
      admin.gateways(),
      ["name", "id", "organisation", "relay", "heartbeat", "revokedAt"],
      json,
      context,
    );
    return EXIT.ok;
  });
}

async function listRelays(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values: { data, json } } = load(listSettings, flags, context);
  return await withAdmin(data, context, (admin) => {
    const columns = [
      "name",
      "type",
      "host",
      "sshPort",
      "tlsPort",
      "organisation",
      "heartbeat",
      "revokedAt",
    ];
    print(admin.relays(), columns, json, context);
    return EXIT.ok;
  });
}

function print(
  rows: object[],
  columns: string[],
  json: boolean | undefined,
  context: CommandContext,
) {
  if (json) return context.out(JSON.stringify(rows, null, 2));
  if (rows.length === 0) return context.err("None.");
  context.out(table(rows as Record<string, unknown>[], columns));
}
