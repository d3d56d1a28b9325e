/**
 * Which relay to use when nobody named one: healthy ones, the organisation's before the instance's,
 * the nearest by the time of a TCP connect to its SSH port (protocol.md, "Timings"; the SSH port,
 * because that is the one that a firewall lets out).
 */
import type { Dial } from "../egress/dial.ts";
import type { RelayEntry } from "../enroll/api.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import { logger } from "../log.ts";
import { formatRelayAddress, parseRelayAddress } from "./relay_address.ts";

const log = logger("link");

/** A relay is healthy while its last heartbeat is younger than this, ms. */
const HEALTHY_FOR = 60 * 60_000;
/** Time for measuring one relay, ms. */
const MEASURE_TIMEOUT = 5_000;
/** Relays measured at the same time. */
const MEASURE_AT_ONCE = 16;

/** Relays that are named when none answers. */
const MAX_NAMED = 5;

/** What the choice depends on. */
export interface SelectOptions {
  relays: readonly RelayEntry[];
  /** Opens a TCP connection; its time is what counts. */
  dial: Dial;
  /** ms since 1970 */
  now: number;
  /** Names of relays to be used only if there is no other. */
  avoid?: ReadonlySet<string>;
  signal?: AbortSignal;
}

/**
 * The healthy relays in the groups in which they are tried: the organisation's, the instance's, and
 * then the same for those to be avoided. Pure.
 */
export function rankRelays(
  relays: readonly RelayEntry[],
  now: number,
  avoid: ReadonlySet<string> = new Set(),
): RelayEntry[][] {
  const healthy = relays.filter(({ heartbeat }) =>
    heartbeat !== undefined && heartbeat !== null && now - Date.parse(heartbeat) < HEALTHY_FOR
  );
  const groups: RelayEntry[][] = [[], [], [], []];
  for (const relay of healthy) {
    const group = (avoid.has(relay.name) ? 2 : 0) + (relay.orgId ? 0 : 1);
    groups[group]!.push(relay);
  }
  return groups.filter((group) => group.length > 0);
}

/**
 * The best relay that answers. Throws `relay-none` if there is no healthy one or none can be reached;
 * the message says which of the two.
 */
export async function selectRelay(options: SelectOptions): Promise<RelayEntry> {
  const { relays, now, avoid } = options;
  const groups = rankRelays(relays, now, avoid);
  if (groups.length === 0) {
    const why = relays.length === 0
      ? "the platform knows no relay for this gateway"
      : `none of ${relays.length} relays has shown a sign of life within the last hour`;
    throw new SallyportError("relay-none", why, {
      hint: "start a relay, or name one with --relay; check this host's clock too",
    });
  }
  const failures: string[] = [];
  for (const group of groups) {
    const [nearest] = await measure(group, options, failures);
    if (!nearest) continue;
    log.debug("relay {relay} is the nearest of {count}, {ms} ms", {
      relay: nearest.relay.name,
      count: group.length,
      ms: Math.round(nearest.ms),
    });
    return nearest.relay;
  }
  const named = failures.slice(0, MAX_NAMED);
  if (failures.length > MAX_NAMED) named.push(`and ${failures.length - MAX_NAMED} more`);
  throw new SallyportError("relay-none", `no relay can be reached: ${named.join("; ")}`, {
    hint: "this host must be allowed to connect to the relay's SSH port (2222)",
  });
}

/** A healthy relay that answers. */
export interface RelaySighting {
  name: string;
  /** It is the organisation's, not the instance's. */
  own: boolean;
  /** Time of a TCP connect to its SSH port, ms. */
  ms: number;
}

/** All healthy relays that answer now. */
export async function sightRelays(options: SelectOptions): Promise<RelaySighting[]> {
  const healthy = rankRelays(options.relays, options.now).flat();
  const measured = await measure(healthy, options, []);
  return measured.map(({ relay: { name, orgId }, ms }) => ({ name, own: Boolean(orgId), ms }));
}

/** Those that answer, the nearest first. */
async function measure(
  group: readonly RelayEntry[],
  options: SelectOptions,
  failures: string[],
): Promise<{ relay: RelayEntry; ms: number }[]> {
  const answers: { relay: RelayEntry; ms: number }[] = [];
  for (let from = 0; from < group.length; from += MEASURE_AT_ONCE) {
    const batch = group.slice(from, from + MEASURE_AT_ONCE);
    const measured = await Promise.all(batch.map(async (relay) => {
      try {
        return { relay, ms: await connectTime(relay, options) };
      } catch (error) {
        options.signal?.throwIfAborted();
        failures.push(`${relay.name}: ${asSallyportError(error).message}`);
        return undefined;
      }
    }));
    answers.push(...measured.filter((one) => one !== undefined));
  }
  return answers.sort((a, b) => a.ms - b.ms);
}

/** Time of one TCP connect to the relay's SSH port, ms. */
async function connectTime({ host }: RelayEntry, options: SelectOptions): Promise<number> {
  const address = parseRelayAddress(host);
  const started = performance.now();
  const socket = await options.dial(address.host, address.port, {
    signal: options.signal,
    timeout: MEASURE_TIMEOUT,
  });
  const ms = performance.now() - started;
  // Closing at once may meet what the relay is already saying; that is of no interest.
  socket.on("error", () => {});
  socket.destroy();
  log.debug("relay {relay}: {ms} ms", { relay: formatRelayAddress(address), ms });
  return ms;
}
