/** `sallyport firewall` */
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { getServers } from "node:dns";
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { firewallSettings } from "../config/firewall.ts";
import type { Loaded } from "../config/load.ts";
import type { Values } from "../config/setting.ts";
import { type Endpoint, parseEndpoint } from "../diagnostic/firewall/endpoint.ts";
import { apiBase } from "../enroll/call.ts";
import { EXIT, SallyportError } from "../errors.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";

/** `sallyport firewall` */
export const firewallCommand = command(
  "firewall",
  map(flagsOf(firewallSettings), (flags): Action => (context) => firewall(flags, context)),
  {
    usageLine: usageOf(),
    brief: message`Print the outbound rules that a gateway needs, for this or that firewall.`,
    footer:
      message`Example: sallyport firewall --relay relay.example --only --dns system --format nftables`,
  },
);

async function firewall(flags: GivenFlags, context: CommandContext): Promise<number> {
  const loaded = load(firewallSettings, flags, context);
  const { values } = loaded;
  const { makePolicy } = await import("../diagnostic/firewall/policy.ts");
  const { resolveAll } = await import("../diagnostic/firewall/resolve.ts");
  const { FORMATS } = await import("../diagnostic/firewall/formats.ts");
  const format = formatOf(loaded);
  const wanted = [
    { purpose: "platform" as const, ...platformOf(values.domain) },
    ...relaysOf(values).map((relay) => ({ purpose: "relay" as const, ...relay })),
    ...(await nameServersOf(values)).map((server) => ({ purpose: "dns" as const, ...server })),
    ...(values.also ?? []).map((endpoint) => ({ purpose: "also" as const, ...endpoint })),
  ];
  const destinations = await resolveAll(wanted, {
    given: values.address ?? [],
    lookup: (name) => addressesOf(name, context.signal),
  });
  const policy = makePolicy(destinations, { only: values.only ?? false, madeAt: new Date() });
  // The output is often piped away, and the warnings in it with it.
  for (const warning of policy.warnings) context.err(`warning: ${warning}`);
  context.out(FORMATS[format](policy));
  return EXIT.ok;
}

type FirewallValues = Values<typeof firewallSettings>;

function formatOf({ values, from }: Loaded<typeof firewallSettings>) {
  if (!values.json) return values.format;
  if (from.format === "default" || values.format === "json") return "json";
  throw new SallyportError("usage", `--json and --format ${values.format} are two formats`, {
    hint: "leave one of them out",
  });
}

function platformOf(domain: string): Endpoint {
  const { hostname, port, protocol } = new URL(apiBase(domain));
  return parseEndpoint(hostname, Number(port) || (protocol === "https:" ? 443 : 80));
}

function relaysOf({ relay }: FirewallValues): readonly Endpoint[] {
  if (relay?.length) return relay;
  throw new SallyportError("usage", "the relay is not named", {
    hint: "give its name or address with --relay HOST; the platform's list of relays shows it",
  });
}

async function nameServersOf({ dns }: FirewallValues): Promise<readonly Endpoint[]> {
  const named = (dns ?? []).filter((server) => server !== "system");
  return dns?.includes("system") ? [...await systemNameServers(), ...named] : named;
}

async function systemNameServers(): Promise<readonly Endpoint[]> {
  const { nameServers } = await import("../diagnostic/firewall/name_servers.ts");
  // Where systemd-resolved keeps the servers that it asks itself.
  const upstream = await readFile("/run/systemd/resolve/resolv.conf", "utf8").catch(() => "");
  const servers = nameServers(getServers(), upstream);
  if (servers.length > 0) return servers.map((server) => parseEndpoint(server, 53));
  throw new SallyportError("usage", "--dns system: this machine names no server but itself", {
    hint: "give the addresses of the name servers: --dns ADDRESS,…",
  });
}

/** Rejects with `name-resolution`, or with the signal's reason. */
async function addressesOf(name: string, signal: AbortSignal): Promise<string[]> {
  const stopped = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  stopped.catch(() => {});
  const found = lookup(name, { all: true, verbatim: true }).catch((error: { code?: string }) => {
    const why = error.code === "EAI_AGAIN" ? "the name server does not answer" : "no such host";
    throw new SallyportError("name-resolution", `${name} has no address: ${why}`, {
      hint: `mend the name, or give its address: --address ${name}=ADDRESS`,
      cause: error,
    });
  });
  const addresses = await Promise.race([found, stopped]);
  return addresses.map(({ address }) => address);
}
