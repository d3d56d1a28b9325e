/** Settings of `sallyport service …`. */
import { MANAGERS } from "../service/description.ts";
import { commonSettings } from "./common.ts";
import { gatewaySettings } from "./gateway.ts";
import { relaySettings } from "./relay.ts";
import { oneOf, presence, type Settings, text } from "./setting.ts";

/** Which service is meant. */
export const serviceIdentitySettings = {
  user: {
    flags: ["--user"],
    metavar: "",
    help: "A service of this user, not of the machine.",
    schema: presence,
    presence: true,
  },
  role: {
    flags: ["--role"],
    metavar: "ROLE",
    help: "What it runs: gateway or relay.",
    schema: oneOf(["gateway", "relay"]),
    default: "gateway",
  },
  ...commonSettings,
} satisfies Settings;

/** `service uninstall` */
export const serviceUninstallSettings = {
  ...serviceIdentitySettings,
  keepState: {
    flags: ["--keep-state"],
    metavar: "",
    help: "Keep its state and its log: an enrolled gateway then needs no new token.",
    schema: presence,
    presence: true,
  },
} satisfies Settings;

/** How a service is installed, beside what it runs with. */
export const serviceInstallSettings = {
  ...serviceIdentitySettings,
  manager: {
    flags: ["--manager"],
    metavar: "NAME",
    help: `What runs it: ${MANAGERS.join(", ")}.`,
    schema: oneOf(MANAGERS),
    defaultHelp: "what this host has",
  },
  runAs: {
    flags: ["--run-as"],
    metavar: "ACCOUNT",
    help: "The account that it runs as; it must be there.",
    schema: text,
    defaultHelp: "one made by systemd, LocalService on Windows, else who installs it",
  },
  binary: {
    flags: ["--binary"],
    metavar: "FILE",
    help: "The program to run.",
    schema: text,
    defaultHelp: "this one",
  },
  credentials: {
    flags: ["--credentials"],
    metavar: "WAY",
    help: "How systemd hands over secrets: load (LoadCredential), or environment (a file 0600).",
    schema: oneOf(["load", "environment"]),
    defaultHelp: "load, from systemd 247 on",
  },
} satisfies Settings;

/** What a service of each role runs with. */
export const roleSettings = { gateway: gatewaySettings, relay: relaySettings };

/** `service install` and `service print`: the flags of both roles are known, those of one count. */
export const servicePlanSettings = {
  ...relaySettings,
  ...gatewaySettings,
  ...serviceInstallSettings,
} satisfies Settings;
