/** Endpoints → destinations: addresses that were given count, else the resolver is asked. */
import { findSimilar } from "@optique/core/suggestion";
import { SallyportError } from "../../errors.ts";
import type { Endpoint, GivenAddress } from "./endpoint.ts";
import { inOrder, parseNetwork } from "./network.ts";
import type { Destination, Purpose } from "./policy.ts";

/** What is needed to find addresses. */
export interface ResolveOptions {
  given: readonly GivenAddress[];
  /** All addresses of a name, both families. Rejects with what the person is told. */
  lookup(name: string): Promise<readonly string[]>;
}

/** An endpoint and why it is needed. */
export type Wanted = Endpoint & { purpose: Purpose };

/**
 * Finds the addresses of all endpoints. Rejects with `usage` if an address is given for a name that is
 * no endpoint, and with what `lookup` rejects with.
 */
export async function resolveAll(
  wanted: readonly Wanted[],
  options: ResolveOptions,
): Promise<Destination[]> {
  demandKnown(options.given, wanted);
  return await Promise.all(wanted.map((one) => resolveOne(one, options)));
}

async function resolveOne(wanted: Wanted, { given, lookup }: ResolveOptions): Promise<Destination> {
  const network = parseNetwork(wanted.host);
  if (network) return { ...wanted, networks: [network], resolved: false };
  const known = given.filter(({ name }) => name === wanted.host);
  if (known.length > 0) {
    return { ...wanted, networks: inOrder(known.map(({ network }) => network)), resolved: false };
  }
  const found = (await lookup(wanted.host)).flatMap((address) => parseNetwork(address) ?? []);
  return { ...wanted, networks: inOrder(found), resolved: true };
}

function demandKnown(given: readonly GivenAddress[], wanted: readonly Wanted[]): void {
  const hosts = wanted.map(({ host }) => host);
  const stray = given.find(({ name }) => !hosts.includes(name));
  if (stray === undefined) return;
  const [near] = findSimilar(stray.name, hosts);
  throw new SallyportError("usage", `--address: no rule is about "${stray.name}"`, {
    hint: near === undefined ? `names here: ${hosts.join(", ")}` : `did you mean ${near}?`,
  });
}
