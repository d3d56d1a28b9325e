/**
 * What a gateway must be able to reach: one list of rules, which formats.ts writes for each firewall.
 * Pure.
 */
import type { Endpoint } from "./endpoint.ts";
import { formatNetwork, type Network } from "./network.ts";

/** Why a destination is needed. */
export type Purpose = "platform" | "relay" | "dns" | "also";

/** An endpoint and where its host is. */
export interface Destination extends Endpoint {
  purpose: Purpose;
  networks: readonly Network[];
  /** A resolver gave the addresses; they may change. */
  resolved: boolean;
}

/** Packets that are let out: all `networks` alike. */
export interface Rule {
  /** Unique among the rules: letters, digits and dashes. */
  id: string;
  purpose: Purpose;
  /** Name or address, as the person gave it. */
  host: string;
  /** For comments: at most 120 characters, none that a shell or AWS (descriptions) minds. */
  label: string;
  protocol: "tcp" | "udp";
  /** Undefined: every port. */
  port?: number;
  networks: readonly Network[];
}

/** Rules, and what else is to be said about them. */
export interface Policy {
  /** When they were made and names resolved. */
  madeAt: Date;
  /** Everything else that the host sends is refused. */
  only: boolean;
  rules: readonly Rule[];
  /** For comments beside the rules. */
  remarks: readonly string[];
  /** What will probably not work as it stands. */
  warnings: readonly string[];
}

/** nftables takes comments of up to 128 bytes, Azure descriptions of up to 140. */
const MAX_LABEL = 120;

/** The rules for `destinations`. */
export function makePolicy(
  destinations: readonly Destination[],
  { only, madeAt }: { only: boolean; madeAt: Date },
): Policy {
  return {
    madeAt,
    only,
    rules: destinations.flatMap((destination, i) => rulesOf(destination, destinations, i)),
    remarks: remarksOn(destinations, only, madeAt),
    warnings: warningsAbout(destinations, only),
  };
}

function rulesOf(
  { purpose, host, port, networks }: Destination,
  all: readonly Destination[],
  index: number,
): Rule[] {
  const before = all.slice(0, index).filter((other) => other.purpose === purpose).length;
  const id = before === 0 ? purpose : `${purpose}-${before + 1}`;
  const label = `sallyport: ${TITLES[purpose]} ${host}`.slice(0, MAX_LABEL);
  const rule = { purpose, host, label, port, networks };
  // RFC 7766: a resolver is asked over UDP, and over TCP when the answer is long.
  if (purpose !== "dns") return [{ id, protocol: "tcp", ...rule }];
  return (["udp", "tcp"] as const).map((protocol) => ({
    id: `${id}-${protocol}`,
    protocol,
    ...rule,
  }));
}

const TITLES: Record<Purpose, string> = {
  platform: "platform",
  relay: "relay",
  dns: "name server",
  also: "also",
};

function remarksOn(destinations: readonly Destination[], only: boolean, madeAt: Date): string[] {
  const resolved = destinations.filter((destination) => destination.resolved);
  const remarks = resolved.map(({ host, networks }) =>
    `${host} had these addresses at ${madeAt.toISOString()}: ${
      networks.map(formatNetwork).join(", ")
    }`
  );
  if (resolved.length > 0) {
    remarks.push("The addresses of a name may change: then make these rules again.");
  }
  remarks.push(
    only
      ? "Everything else that is sent is refused, updates and the time (NTP) included; --also allows more."
      : "Nothing is refused by these rules: they let through what others would refuse (see --only).",
  );
  return [...new Set(remarks)];
}

function warningsAbout(destinations: readonly Destination[], only: boolean): string[] {
  const named = destinations.filter(({ host, networks }) =>
    !networks.some((network) => formatNetwork(network) === host)
  );
  const dns = destinations.some(({ purpose }) => purpose === "dns");
  if (!only || dns || named.length === 0) return [];
  const [{ host } = { host: "" }] = named;
  return [
    `No name server is allowed, so ${host} must stand in the hosts file, unless this is a cloud's ` +
    "firewall, which lets its own name server through; --dns system allows those of this machine.",
  ];
}
