/** The platform's name has an address; behind a proxy, the proxy's has. */
import { type Check, pass } from "../check.ts";
import { lookUp } from "../name.ts";
import { nameOf, platformPlace } from "../platform_route.ts";

/** See above. */
export const platformName: Check = {
  id: "platform-name",
  title: "platform name",
  needs: [],
  async run(context) {
    const { host, proxy } = platformPlace(context);
    if (!proxy) return await lookUp(host, "--domain");
    const found = await lookUp(proxy.host, "HTTPS_PROXY");
    if (found.status !== "pass") return found;
    return pass(`${host} is looked up by the proxy ${nameOf(proxy)}; ${found.finding}`);
  },
};
