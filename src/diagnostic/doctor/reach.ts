/** Why a connection was not made, told apart, and which firewall rule would let it out. Pure. */
import { apiBase, DEFAULT_DOMAIN } from "../../enroll/call.ts";
import { type ErrorCode, SallyportError } from "../../errors.ts";
import { formatRelayAddress, type RelayAddress, SSH_PORT } from "../../link/relay_address.ts";
import { fail, type Outcome } from "./check.ts";

/** Ways of not getting there. */
export type Fault =
  | "refused"
  | "silent"
  | "reset"
  | "closed"
  | "unreachable"
  | "no-route"
  | "forbidden"
  | "other";

const FAULTS: Record<string, Fault> = {
  ECONNREFUSED: "refused",
  ETIMEDOUT: "silent",
  ECONNRESET: "reset",
  EPIPE: "reset",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "no-route",
  EADDRNOTAVAIL: "no-route",
  EACCES: "forbidden",
  EPERM: "forbidden",
};

/** What tells most about several addresses of one name: who answered at all comes first. */
const TELLING: Fault[] = ["reset", "refused", "forbidden", "unreachable", "silent", "no-route"];

/** Which of them an error of the dialer, a socket or a deadline is. */
export function faultOf(error: unknown): Fault {
  const found = new Set(faultsIn(error));
  return TELLING.find((fault) => found.has(fault)) ?? "other";
}

function faultsIn(error: unknown): Fault[] {
  if (error instanceof AggregateError) return error.errors.flatMap(faultsIn);
  if (!(error instanceof Error)) return [];
  const { code } = error as { code?: string };
  if (error instanceof SallyportError && code === "timeout") return ["silent"];
  const own = FAULTS[code ?? ""];
  return own ? [own] : faultsIn(error.cause);
}

/** A place that must be reachable. */
export interface Place {
  /** What runs there: "the platform", "the relay". */
  what: string;
  host: string;
  port: number;
  /** The command that prints the firewall rule for it. */
  rule: string;
  /** What its failure is called in errors.ts. */
  code: ErrorCode;
  /** How long it was waited for, ms. */
  waited: number;
}

/** The failure of a check that tried to get there. */
export function unreachable(fault: Fault, place: Place, detail = ""): Outcome {
  const { what, host, port, rule, code, waited } = place;
  const where = formatRelayAddress({ host, port });
  const out = `TCP to ${host} port ${port}`;
  const missing = `missing firewall rule: ${out}`;
  switch (fault) {
    case "refused":
      return fail(
        `${where} refuses the connection: nothing listens there, or a firewall rejects it`,
        `start ${what} if it is yours; if it runs, ${missing}; printed by: ${rule}`,
        code,
      );
    case "silent":
      return fail(
        `${where}: timed out, no answer within ${waited} ms: a firewall drops it, or the host is off`,
        `${missing}; printed by: ${rule}`,
        code,
      );
    case "reset":
      return fail(
        `${where}: the connection is reset: a firewall on the way ends it`,
        `let out ${out} without inspection of its contents; the letter for who runs the ` +
          `firewall is printed by: ${rule}`,
        code,
      );
    case "closed":
      return fail(
        `${where} closes the connection at once: a firewall that inspects, or a busy server`,
        `let out ${out} without inspection of its contents; the letter for who runs the ` +
          `firewall is printed by: ${rule}`,
        code,
      );
    case "unreachable":
      return fail(
        `${where}: no route to the host: a firewall rejects it with ICMP, or the host is off`,
        `if the host runs, ${missing}; printed by: ${rule}`,
        code,
      );
    case "no-route":
      return fail(
        `${where}: this host has no route there`,
        "check this host's network: its address, default route and VPN, and IPv6 if that is one",
        code,
      );
    case "forbidden":
      return fail(
        `${where}: forbidden by this host's own firewall or permissions`,
        `${missing}; printed by: ${rule} --format nftables`,
        code,
      );
    case "other":
      return fail(
        `${where}: ${detail || "the connection failed"}`,
        `check that ${out} is let out; the rule is printed by: ${rule}`,
        code,
      );
  }
}

/** The command that prints the rules for a platform and a relay; HOST stands for an unknown relay. */
export function firewallCommand(domain: string, relay: RelayAddress | undefined): string {
  const base = apiBase(domain).replace(/\/api$/, "");
  const platform = base === DEFAULT_DOMAIN ? "" : ` --domain ${base}`;
  return `sallyport firewall${platform} --relay ${relay ? relayWord(relay) : "HOST"}`;
}

function relayWord({ host, port }: RelayAddress): string {
  if (port !== SSH_PORT) return formatRelayAddress({ host, port });
  return host.includes(":") ? `[${host}]` : host;
}
