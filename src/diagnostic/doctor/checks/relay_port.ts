/** TCP to the relay's SSH port, usually 2222. */
import { asSallyportError } from "../../../errors.ts";
import { formatRelayAddress } from "../../../link/relay_address.ts";
import { type Check, pass } from "../check.ts";
import { relayAddress } from "../context.ts";
import { faultOf, unreachable } from "../reach.ts";
import { relayPlace } from "../relay_place.ts";

/** See above. */
export const relayPort: Check = {
  id: "relay-port",
  title: "relay port",
  needs: ["relay-name", "proxy"],
  async run(context, signal) {
    const address = (await relayAddress(context, signal))!;
    try {
      const socket = await context.dial(address.host, address.port, {
        signal,
        timeout: context.timeout * 2,
      });
      socket.on("error", () => {});
      socket.destroy();
    } catch (error) {
      const { message } = asSallyportError(error);
      return unreachable(faultOf(error), relayPlace(context, address), message);
    }
    return pass(`${formatRelayAddress(address)} takes connections`);
  },
};
