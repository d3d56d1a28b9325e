/**
 * Logs in to the relay as the gateway, unless one may be at work: a relay keeps one session a gateway,
 * and a second login would take its place or be thrown out.
 */
import { ChannelServer } from "../../../channel/server.ts";
import { asSallyportError } from "../../../errors.ts";
import { connectOnce } from "../../../link/connect_once.ts";
import { type Check, fail, pass, skip } from "../check.ts";
import type { DoctorContext } from "../context.ts";
import { askManager, installedService } from "../installed.ts";
import { pingThroughPlatform } from "../through_platform.ts";

/** See above. */
export const relayLogin: Check = {
  id: "relay-login",
  title: "relay login",
  needs: ["host-certificate"],
  patience: 3,
  async run(context, signal) {
    const why = await reasonNotTo(context, signal);
    if (why !== undefined) return skip(`not tried: ${why}`);
    const registered = context.facts.registered!;
    const address = context.relayAddress ?? registered.address;
    const server = new ChannelServer({ pki: registered.registration.pki });
    context.owned.defer(() => server.close());
    try {
      const session = await connectOnce({
        registered,
        dial: (_host, _port, options) => context.dial(address.host, address.port, options),
        onChannel: (channel) => server.accept(channel),
        timeout: context.timeout * 2,
        now: context.now,
      }, signal);
      context.owned.defer(async () => {
        session.close();
        await session.closed;
      });
      context.facts.loggedIn = true;
      const ms = await session.ping(signal);
      return pass(
        `the relay takes this gateway's certificate; ${ms.toFixed(1)} ms there and back`,
      );
    } catch (error) {
      signal.throwIfAborted();
      const { code, message, hint } = asSallyportError(error);
      return fail(message, hint ?? "see the relay's log, which says why", code);
    }
  },
};

/** Why a login might disturb, or undefined. */
async function reasonNotTo(
  context: DoctorContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { login, gatewayHere, name } = context;
  if (login === "yes") return undefined;
  if (login === "no") return "--login no";
  const here = await gatewayHere(signal);
  if (here.kind === "off") {
    return "health is off, so a gateway at work would not be seen; if none is, give --login yes";
  }
  if (here.kind === "gateway" && here.gateway === name) {
    return "the gateway is at work here, and a second login would disturb it";
  }
  const service = await runningService(context);
  if (service) return `its service ${service} runs, and a second login would disturb it`;
  const elsewhere = await pingThroughPlatform(context, signal).catch(() => false);
  return elsewhere ? "the gateway is at work on another host, and answers" : undefined;
}

/** The id of its service, if that runs; what cannot be asked is told by the check of the service. */
async function runningService(context: DoctorContext): Promise<string | undefined> {
  try {
    const service = await installedService(context);
    if (!service) return undefined;
    return (await askManager(service, context)).running ? service.identity.id : undefined;
  } catch {
    return undefined;
  }
}
