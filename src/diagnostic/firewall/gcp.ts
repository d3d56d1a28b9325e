/** Google Cloud: a shell script that makes VPC firewall rules with gcloud. Pure. */
import { heading } from "./heading.ts";
import { byFamily } from "./family.ts";
import { cidr } from "./network.ts";
import type { Policy } from "./policy.ts";

/** The script. A rule has addresses of one family only; answers are let through by themselves. */
export function gcp(policy: Policy): string {
  const allowed = byFamily(policy.rules).map(({ id, family, networks, protocol, port, label }) => ({
    name: `sallyport-${id}-ipv${family}`,
    text: create({
      name: `sallyport-${id}-ipv${family}`,
      action: "ALLOW",
      rules: port === undefined ? protocol : `${protocol}:${port}`,
      ranges: networks.map(cidr),
      priority: 1000,
      description: label,
    }),
  }));
  const refused = ([4, 6] as const).map((family) => ({
    name: `sallyport-refuse-ipv${family}`,
    text: create({
      name: `sallyport-refuse-ipv${family}`,
      action: "DENY",
      rules: "all",
      ranges: [family === 4 ? "0.0.0.0/0" : "::/0"],
      // Above 65535, the rule of every network that lets everything out.
      priority: 65_000,
      description: "sallyport: everything else",
    }),
  }));
  const rules = policy.only ? [...allowed, ...refused] : allowed;
  return [
    ...heading(policy, {
      load: "NETWORK=NAME TAG=NAME sh FILE, once; the rules are for machines with that network tag",
      undo: `gcloud compute firewall-rules delete ${rules.map(({ name }) => name).join(" ")}`,
    }),
    "set -e",
    ': "${NETWORK:?set it to the name of the VPC network}"',
    ': "${TAG:?set it to the network tag of the gateway\'s machine}"',
    ...rules.map(({ text }) => text),
  ].join("\n");
}

interface VpcRule {
  name: string;
  action: "ALLOW" | "DENY";
  rules: string;
  ranges: string[];
  priority: number;
  description: string;
}

function create({ name, action, rules, ranges, priority, description }: VpcRule): string {
  return `gcloud compute firewall-rules create ${name} --network="$NETWORK" --target-tags="$TAG" ` +
    `--direction=EGRESS --action=${action} --rules=${rules} ` +
    `--destination-ranges=${ranges.join(",")} --priority=${priority} ` +
    `--description='${description}'`;
}
