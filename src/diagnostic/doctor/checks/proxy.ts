/** Which proxy the environment names, for the platform and for the relay. */
import { proxyFor } from "../../../egress/proxy_choice.ts";
import { hideSecret } from "../../../log.ts";
import { type Check, pass, warn } from "../check.ts";
import { relayAddress } from "../context.ts";
import { nameOf, platformPlace } from "../platform_route.ts";

const VARIABLES = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/** See above. */
export const proxy: Check = {
  id: "proxy",
  title: "proxy settings",
  needs: [],
  async run(context, signal) {
    const { env } = context;
    const platform = platformPlace(context).proxy;
    const address = await relayAddress(context, signal).catch(() => undefined);
    // Where the relay is not known yet, any name that is no exception stands for it.
    const relay = proxyFor(address?.host ?? "relay.invalid", address?.port ?? 2222, env);
    for (const { password } of [platform ?? {}, relay ?? {}] as { password?: string }[]) {
      if (password !== undefined) hideSecret(password);
    }
    const set = VARIABLES.filter((name) => env[name]);
    if (!platform && !relay) {
      return pass(
        set.length === 0
          ? "no proxy is set: connections are made directly"
          : `${set.join(", ")} set, and neither platform nor relay goes through a proxy`,
      );
    }
    const ways = `platform ${way(platform)}, relay ${way(relay)} (${set.join(", ")})`;
    if (env.https_proxy && env.HTTPS_PROXY && env.https_proxy !== env.HTTPS_PROXY) {
      return warn(`${ways}: https_proxy and HTTPS_PROXY differ`, "set both alike, or one of them");
    }
    return pass(ways);
  },
};

function way(proxy: Parameters<typeof nameOf>[0] | undefined): string {
  return proxy ? `through ${nameOf(proxy)}` : "directly";
}
