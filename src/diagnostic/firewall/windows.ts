/** Windows Defender Firewall: a PowerShell script. Pure. */
import { heading } from "./heading.ts";
import { formatNetwork } from "./network.ts";
import type { Policy } from "./policy.ts";

/** The script. Windows itself lets loopback and answers through; running it again replaces the rules. */
export function windows(policy: Policy): string {
  const rules = policy.rules.map(({ id, networks, protocol, port, label }) =>
    `New-NetFirewallRule -Group 'sallyport' -DisplayName 'sallyport ${id}' -Description '${label}' ` +
    `-Direction Outbound -Action Allow -Protocol ${protocol.toUpperCase()} ` +
    `-RemoteAddress ${networks.map((network) => `'${formatNetwork(network)}'`).join(",")}` +
    `${port === undefined ? "" : ` -RemotePort ${port}`} | Out-Null`
  );
  return [
    ...heading(policy, {
      load: "powershell -ExecutionPolicy Bypass -File FILE, as administrator",
      undo: `Remove-NetFirewallRule -Group sallyport${
        policy.only ? "; Set-NetFirewallProfile -All -DefaultOutboundAction Allow" : ""
      }`,
    }),
    "$ErrorActionPreference = 'Stop'",
    "Get-NetFirewallRule -Group 'sallyport' -ErrorAction SilentlyContinue | Remove-NetFirewallRule",
    ...rules,
    ...(policy.only
      ? [
        "# Rules that Windows came with (Core Networking: DHCP, DNS, IPv6) go on allowing.",
        "Set-NetFirewallProfile -All -DefaultOutboundAction Block",
      ]
      : []),
  ].join("\n");
}
