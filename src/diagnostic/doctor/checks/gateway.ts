/** Whether a gateway runs on this host already, and what it says of itself. */
import { type Check, fail, pass, skip } from "../check.ts";

/** See above. */
export const gateway: Check = {
  id: "gateway",
  title: "running gateway",
  needs: [],
  async run({ gatewayHere, name, healthListen }, signal) {
    const here = await gatewayHere(signal);
    switch (here.kind) {
      case "off":
        return skip("health is off, so a gateway that runs here cannot be seen");
      case "nobody":
        return skip(`none answers at ${here.address}`);
      case "other":
        return fail(
          `something that is no gateway listens at ${here.address}`,
          `end it, or give the gateway another address with --health-listen (now ${healthListen})`,
          "port-in-use",
        );
      case "gateway":
        if (here.gateway !== name) {
          return fail(
            `${here.address} is taken by the gateway ${here.gateway}`,
            "give this one another address with --health-listen",
            "port-in-use",
          );
        }
        return here.ready ? pass(here.reason) : fail(
          `${name} runs and has no tunnel: ${here.reason}`,
          "what failed above is why; else see its log",
          "relay-unreachable",
        );
    }
  },
};
