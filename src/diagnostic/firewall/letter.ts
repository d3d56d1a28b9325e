/** A letter to the people who keep the firewall. Pure. */
import { formatNetwork } from "./network.ts";
import type { Policy, Purpose, Rule } from "./policy.ts";

const REASONS: Record<Purpose, string> = {
  platform: "the platform's API, HTTPS: logging in and certificates",
  relay: "the relay, over SSH: one connection that stays open and carries everything",
  dns: "name server: finding the addresses of the others",
  also: "named by us as needed beside these",
};

/** The letter. It stands for itself: whoever reads it may know nothing about sallyport. */
export function letter({ rules, only, madeAt, warnings }: Policy): string {
  return [
    "Subject: outbound connections for a sallyport gateway",
    "",
    "Hello,",
    "",
    "we run a sallyport gateway, an agent that makes services behind the firewall reachable to us. It",
    "opens every connection itself, outward. Nothing has to be opened inbound. Please allow, from the",
    "gateway's host",
    "",
    "    (its address: ______________________)",
    "",
    "these outbound connections:",
    "",
    ...rules.flatMap(item),
    ...(only ? ["Everything else that this host sends outward shall be refused.", ""] : []),
    "To know:",
    "",
    "  - They are plain stateful connections: answers need no rule of their own.",
    "  - The relay's port carries SSH although it is not 22. Please let no inspection by protocol end it,",
    "    and no idle timeout below a minute; the gateway gives a sign of life every 10 s.",
    "  - If TLS to the platform is inspected, tell us the authority that signs for it.",
    `  - The addresses are those of ${
      madeAt.toISOString().slice(0, 10)
    }. Those of a name may change: if your`,
    "    firewall can take names, please enter the names.",
    ...warnings.map((warning) => `  - ${warning}`),
    "",
    "`sallyport doctor` on the host tells us whether it works.",
    "",
    "Thank you",
  ].join("\n");
}

function item({ purpose, host, protocol, port, networks }: Rule, index: number): string[] {
  const where = port === undefined ? ", every port," : ` port ${port}`;
  const addresses = networks.map(formatNetwork);
  const named = addresses.length !== 1 || addresses[0] !== host;
  return [
    `  ${index + 1}. ${protocol.toUpperCase()}${where} to ${host}`,
    ...(named ? [`     addresses: ${addresses.join(", ")}`] : []),
    `     ${REASONS[purpose]}`,
    "",
  ];
}
