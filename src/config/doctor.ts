/** Settings of `sallyport doctor`: those of the gateway that it examines, and a few of its own. */
import { LOGINS } from "../diagnostic/doctor/logins.ts";
import { parseRelayAddress } from "../link/relay_address.ts";
import { SECRET_HELP } from "./common.ts";
import { gatewaySettings } from "./gateway.ts";
import { oneOf, presence, type Settings, span, text } from "./setting.ts";
import * as z from "zod";

const address = text.transform((given, context) => {
  try {
    return parseRelayAddress(given);
  } catch {
    context.addIssue("it must be a host, host:port or [v6]:port");
    return z.NEVER;
  }
});

/** What is examined, and how. */
export const doctorSettings = {
  ...gatewaySettings,
  relayAddress: {
    flags: ["--relay-address"],
    env: ["SALLYPORT_DOCTOR_RELAY_ADDRESS"],
    metavar: "HOST[:PORT]",
    help: "Look at this relay's SSH port, also where the platform tells none.",
    schema: address,
    defaultHelp: "what the platform says",
  },
  login: {
    flags: ["--login"],
    env: ["SALLYPORT_DOCTOR_LOGIN"],
    metavar: "WHEN",
    help: "Whether to log in to the relay as the gateway: yes, no, or auto (if none is at work).",
    schema: oneOf(LOGINS),
    default: "auto",
  },
  clientToken: {
    flags: ["--client-token"],
    env: ["SALLYPORT_DOCTOR_CLIENT_TOKEN"],
    metavar: "SECRET",
    help: "Token of an identity that may open connections, for the round trip where the " +
      `gateway's own may not; ${SECRET_HELP}`,
    schema: text,
    secret: true,
  },
  timeout: {
    flags: ["--timeout"],
    env: ["SALLYPORT_DOCTOR_TIMEOUT"],
    metavar: "TIME",
    help: "Time for one check.",
    schema: span,
    default: "10s",
  },
  json: {
    flags: ["--json"],
    metavar: "",
    help: "One JSON object in place of lines.",
    schema: presence,
    presence: true,
  },
  // What the gateway's own code logs on the way is in the findings already.
  logLevel: { ...gatewaySettings.logLevel, default: "error" },
} satisfies Settings;
