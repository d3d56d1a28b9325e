/** The rules as data. Pure. */
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

/** One JSON object; addresses are texts, bare or with a prefix. */
export function json({ madeAt, only, rules, remarks, warnings }: Policy): string {
  return JSON.stringify(
    {
      madeAt: madeAt.toISOString(),
      only,
      rules: rules.map(({ id, purpose, host, protocol, port, networks }) => ({
        ...{ id, purpose, host, protocol, port: port ?? null },
        addresses: networks.map(formatNetwork),
      })),
      remarks,
      warnings,
    },
    null,
    2,
  );
}
