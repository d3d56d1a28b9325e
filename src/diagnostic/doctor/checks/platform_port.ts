/** TCP to the platform, usually to port 443. */
import { asSallyportError } from "../../../errors.ts";
import { formatRelayAddress } from "../../../link/relay_address.ts";
import { type Check, fail, pass } from "../check.ts";
import { relayAddress } from "../context.ts";
import { firewallPlace, nameOf, platformDial, platformPlace } from "../platform_route.ts";
import { faultOf, unreachable } from "../reach.ts";

/** See above. */
export const platformPort: Check = {
  id: "platform-port",
  title: "platform port",
  needs: ["platform-name"],
  async run(context, signal) {
    const place = platformPlace(context);
    const { host, port, proxy } = place;
    try {
      const socket = await platformDial(context, place)(host, port, {
        signal,
        timeout: context.timeout * 2,
      });
      socket.on("error", () => {});
      socket.destroy();
    } catch (error) {
      const fault = faultOf(error);
      const { message, hint, code } = asSallyportError(error);
      // The proxy is there and does not let it through: it says why itself.
      if (proxy && fault === "other") return fail(message, hint, code);
      const relay = await relayAddress(context, signal).catch(() => undefined);
      return unreachable(fault, firewallPlace(context, place, relay), message);
    }
    const through = proxy ? ` through the proxy ${nameOf(proxy)}` : "";
    return pass(`${formatRelayAddress({ host, port })} takes connections${through}`);
  },
};
