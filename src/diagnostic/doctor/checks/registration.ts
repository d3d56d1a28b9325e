/**
 * Registers as the gateway does: which relay, and with which certificates. Nothing that runs notices: a
 * gateway does the same every few hours, and one that runs here keeps its relay.
 */
import { SallyportError } from "../../../errors.ts";
import { registrar } from "../../../link/register.ts";
import { formatRelayAddress } from "../../../link/relay_address.ts";
import { rankRelays, selectRelay } from "../../../link/select_relay.ts";
import { type Check, fail, pass } from "../check.ts";
import type { DoctorContext } from "../context.ts";

/** See above. */
export const registration: Check = {
  id: "registration",
  title: "registration",
  needs: ["credentials"],
  patience: 2,
  async run(context, signal) {
    const { facts, name, now } = context;
    const enrolled = context.auth().method === "enroll-token";
    const relayName = await chosenRelay(context, signal);
    if (relayName === undefined && !enrolled) {
      return fail(
        "no relay is named, and the platform lists none that is alive",
        "start a relay, or name one with --target-relay-name",
        "relay-none",
      );
    }
    const register = registrar({
      // The choice has been made, and is not to be made again.
      api: { ...callsOf(facts.api!), relays: () => Promise.resolve([]) },
      name,
      enrolled,
      relayName,
      dial: context.dial,
      now,
    });
    const registered = relayName === undefined
      ? await byPlatform(context, signal)
      : await register({}, signal);
    facts.registered = registered;
    const { validity: { notBefore, notAfter }, address, registration: { gatewayId } } = registered;
    if (now() < notBefore.getTime() || now() >= notAfter.getTime()) {
      return fail(
        `the certificates hold from ${notBefore.toISOString()} to ${notAfter.toISOString()}, ` +
          `this host's clock says ${new Date(now()).toISOString()}`,
        "set the clock right",
        "certificate-validity",
      );
    }
    const relay = relayName === undefined ? "the relay" : `relay ${relayName}`;
    return pass(
      `gateway ${gatewayId}, ${relay} at ${formatRelayAddress(address)}; ` +
        `the certificates hold until ${notAfter.toISOString()}`,
    );
  },
};

function callsOf(api: NonNullable<DoctorContext["facts"]["api"]>) {
  return {
    registerGateway: api.registerGateway.bind(api),
    connectGateway: api.connectGateway.bind(api),
  };
}

/** An enrolled gateway may leave the choice to the platform. */
async function byPlatform(context: DoctorContext, signal: AbortSignal) {
  const api = context.facts.api!;
  const refuse = () => {
    throw new SallyportError("api-not-found", "the platform does not list its relays");
  };
  const { name, dial, now } = context;
  const calls = { ...callsOf(api), relays: refuse };
  return await registrar({ api: calls, name, enrolled: true, dial, now })({}, signal);
}

/** The relay that the gateway would use, reachable or not: whether it is shows below. */
async function chosenRelay(
  { relayName, gatewayHere, name, facts, dial, now }: DoctorContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (relayName !== undefined) return relayName;
  const here = await gatewayHere(signal);
  if (here.kind === "gateway" && here.gateway === name && here.relay?.name) return here.relay.name;
  const [best] = rankRelays(facts.relays ?? [], now());
  if (best === undefined) return undefined;
  try {
    return (await selectRelay({ relays: facts.relays!, dial, now: now(), signal })).name;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SallyportError && error.code === "relay-none")) throw error;
    return best[0]!.name;
  }
}
