/** Settings of `sallyport status`. */
import { DEFAULT_HEALTH_LISTEN } from "../health/address.ts";
import { commonSettings } from "./common.ts";
import { presence, type Settings, text } from "./setting.ts";

/** Of a look at a gateway. */
export const statusSettings = {
  health: {
    flags: ["--health", "--health-listen"],
    env: ["SALLYPORT_HEALTH_LISTEN"],
    metavar: "ADDRESS",
    help: "Where the gateway serves its health: host:port, or unix:/path.",
    schema: text,
    default: DEFAULT_HEALTH_LISTEN,
  },
  json: {
    flags: ["--json"],
    metavar: "",
    help: "Print what the gateway says as JSON; with --watch one object a line, every second.",
    schema: presence,
    presence: true,
  },
  watch: {
    flags: ["--watch"],
    metavar: "",
    help: "Look again every second until Ctrl-C: a live view on a terminal, else a line a change.",
    schema: presence,
    presence: true,
  },
  ...commonSettings,
} satisfies Settings;
