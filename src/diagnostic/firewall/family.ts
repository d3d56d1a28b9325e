/** Rules for firewalls that want IPv4 and IPv6 apart. Pure. */
import type { Network } from "./network.ts";
import type { Rule } from "./policy.ts";

/** A rule with the networks of one family, at least one. */
export type FamilyRule = Rule & { family: 4 | 6 };

/** Each rule once a family that it has networks of; IPv4 before IPv6. */
export function byFamily(rules: readonly Rule[]): FamilyRule[] {
  return rules.flatMap((rule) =>
    ([4, 6] as const).flatMap((family) => {
      const networks: Network[] = rule.networks.filter((network) => network.family === family);
      return networks.length === 0 ? [] : [{ ...rule, family, networks }];
    })
  );
}
