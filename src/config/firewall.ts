/** Settings of `sallyport firewall`. */
import { findSimilar } from "@optique/core/suggestion";
import * as z from "zod";
import { parseEndpoint, parseGivenAddress } from "../diagnostic/firewall/endpoint.ts";
import { type Format, FORMATS } from "../diagnostic/firewall/formats.ts";
import { SallyportError } from "../errors.ts";
import { SSH_PORT } from "../link/relay_address.ts";
import { commonSettings, domainSetting } from "./common.ts";
import { presence, type Settings, text } from "./setting.ts";

const NAMES = Object.keys(FORMATS) as [Format, ...Format[]];

/** A format's name; `aws` alone means the AWS CLI. */
const format = text.transform((given, context): Format => {
  const name = given === "aws" ? "aws-cli" : given;
  const known = NAMES.find((one) => one === name);
  if (known !== undefined) return known;
  const [near] = findSimilar(name, NAMES);
  context.addIssue(
    `there is no format "${given}"; ` +
      (near === undefined ? `it must be ${NAMES.join(", ")} or aws` : `did you mean ${near}?`),
  );
  return z.NEVER;
});

/** Texts with commas between them, each read by `parse`, whose complaint is passed on. */
function list<T>(parse: (item: string) => T) {
  return text.transform((given, context): T[] => {
    try {
      return given.split(",").map((item) => item.trim()).filter(Boolean).map(parse);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      context.addIssue(error.hint ? `${error.message}; ${error.hint}` : error.message);
      return z.NEVER;
    }
  });
}

/** What rules are made for, and how they are written. */
export const firewallSettings = {
  domain: domainSetting,
  relay: {
    flags: ["--relay"],
    metavar: "HOST[:PORT],…",
    help: `The relays' names or addresses, and their SSH ports if not ${SSH_PORT}.`,
    schema: list((item) => parseEndpoint(item, SSH_PORT)),
  },
  also: {
    flags: ["--also"],
    metavar: "HOST[:PORT],…",
    help: "Further TCP destinations, such as private targets (10.0.5.0/24:5432) or a proxy; " +
      "without a port every one.",
    schema: list((item) => parseEndpoint(item)),
  },
  dns: {
    flags: ["--dns"],
    metavar: "system,ADDRESS,…",
    help: "Name servers to let through; system: those that this machine asks.",
    schema: list((item) => item === "system" ? "system" as const : parseEndpoint(item, 53)),
    defaultHelp: "none",
  },
  address: {
    flags: ["--address"],
    metavar: "NAME=ADDRESS,…",
    help: "Addresses or networks of a name, which is then not looked up.",
    schema: list(parseGivenAddress),
  },
  only: {
    flags: ["--only"],
    metavar: "",
    help: "A whole policy: everything else that the host sends is refused.",
    schema: presence,
    presence: true,
  },
  format: {
    flags: ["--format"],
    metavar: "FORMAT",
    help: `How the rules are written: ${NAMES.join(", ")}.`,
    schema: format,
    default: "text",
  },
  json: {
    flags: ["--json"],
    metavar: "",
    help: "The same as --format json.",
    schema: presence,
    presence: true,
  },
  ...commonSettings,
} satisfies Settings;
