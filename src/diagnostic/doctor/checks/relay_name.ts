/** The relay's name has an address. */
import { proxyFor } from "../../../egress/proxy_choice.ts";
import { type Check, pass, skip } from "../check.ts";
import { relayAddress } from "../context.ts";
import { lookUp } from "../name.ts";
import { nameOf } from "../platform_route.ts";

/** See above. */
export const relayName: Check = {
  id: "relay-name",
  title: "relay name",
  needs: [],
  async run(context, signal) {
    const address = await relayAddress(context, signal);
    if (!address) {
      return skip(
        "the relay's address is not known, because the platform did not tell it",
        "to look at a relay all the same, name it with --relay-address HOST",
      );
    }
    const { host, port } = address;
    const proxy = proxyFor(host, port, context.env);
    if (proxy) return pass(`${host} is looked up by the proxy ${nameOf(proxy)}`);
    return await lookUp(host, "the host that the relay was registered with");
  },
};
