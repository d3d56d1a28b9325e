/** ufw: a shell script. Pure. */
import { heading } from "./heading.ts";
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

/** The script. ufw itself lets loopback, answers and IPv6's own messages through, and skips repeats. */
export function ufw(policy: Policy): string {
  const rules = policy.rules.flatMap(({ networks, protocol, port, label }) =>
    networks.map((network) =>
      `ufw prepend allow out proto ${protocol} to ${formatNetwork(network)}` +
      `${port === undefined ? "" : ` port ${port}`} comment '${label}'`
    )
  );
  return [
    ...heading(policy, {
      load: "sh FILE, as root. If ufw is off: ufw allow ssh, then ufw enable",
      undo: `ufw status numbered, then ufw delete NUMBER${
        policy.only ? "; ufw default allow outgoing" : ""
      }`,
    }),
    "set -e",
    ...rules,
    ...(policy.only
      ? [
        "ufw prepend allow out proto udp from any port 68 to any port 67 comment 'DHCP'",
        "ufw default reject outgoing",
      ]
      : []),
  ].join("\n");
}
