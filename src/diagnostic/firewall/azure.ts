/** Azure: a shell script that adds rules to a network security group with the Azure CLI. Pure. */
import { heading } from "./heading.ts";
import { byFamily } from "./family.ts";
import { cidr } from "./network.ts";
import type { Policy } from "./policy.ts";

/** Azure tries rules from 100 to 4096; its own, which let everything out, come after those. */
const FIRST_PRIORITY = 1000;
const LAST_PRIORITY = 4096;

/** The script. Answers are let through by themselves; running it again replaces rules by their names. */
export function azure(policy: Policy): string {
  const allowed = byFamily(policy.rules).map((rule, i) =>
    create({
      name: `sallyport-${rule.id}-ipv${rule.family}`,
      priority: FIRST_PRIORITY + i,
      access: "Allow",
      protocol: rule.protocol === "tcp" ? "Tcp" : "Udp",
      prefixes: rule.networks.map(cidr).join(" "),
      ports: rule.port === undefined ? "'*'" : String(rule.port),
      description: rule.label,
    })
  );
  const refused = create({
    name: "sallyport-refuse",
    priority: LAST_PRIORITY,
    access: "Deny",
    protocol: "'*'",
    prefixes: "'*'",
    ports: "'*'",
    description: "sallyport: everything else, the virtual network included",
  });
  return [
    ...heading(policy, {
      load: "RESOURCE_GROUP=NAME NSG=NAME sh FILE",
      undo: "az network nsg rule delete -g RESOURCE_GROUP --nsg-name NSG -n NAME, for each name",
    }),
    "set -e",
    ': "${RESOURCE_GROUP:?set it to the name of the resource group}"',
    ': "${NSG:?set it to the name of the network security group}"',
    ...allowed,
    ...(policy.only ? [refused] : []),
  ].join("\n");
}

interface NsgRule {
  name: string;
  priority: number;
  access: "Allow" | "Deny";
  protocol: string;
  prefixes: string;
  ports: string;
  description: string;
}

function create(rule: NsgRule): string {
  return `az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NSG" ` +
    `--name ${rule.name} --priority ${rule.priority} --direction Outbound ` +
    `--access ${rule.access} --protocol ${rule.protocol} ` +
    `--destination-address-prefixes ${rule.prefixes} ` +
    `--destination-port-ranges ${rule.ports} --description '${rule.description}'`;
}
