/** Settings of `sallyport connect`. */
import {
  authSettings,
  caFileSetting,
  commonSettings,
  domainSetting,
  logFileSettings,
} from "./common.ts";
import { presence, type Settings, text } from "./setting.ts";

/** Of a client. */
export const connectSettings = {
  domain: domainSetting,
  caFile: caFileSetting,
  ...authSettings,
  listen: {
    flags: ["--listen"],
    env: ["SALLYPORT_CONNECT_LISTEN"],
    metavar: "ADDRESS",
    help: "The local port; port 0 takes a free one.",
    schema: text,
    default: "127.0.0.1:0",
  },
  http: {
    flags: ["--http"],
    metavar: "",
    help: "HTTP mode: the gateway itself speaks to the target, request by request; " +
      "https://host:port makes it use TLS there.",
    schema: presence,
    presence: true,
  },
  targetCa: {
    flags: ["--target-ca"],
    metavar: "FILE",
    help: "With --http: authorities (PEM) that an https target's certificate is checked against.",
    schema: text,
  },
  targetInsecure: {
    flags: ["--target-insecure"],
    metavar: "",
    help: "With --http: take any certificate of an https target.",
    schema: presence,
    presence: true,
  },
  ...logFileSettings,
  ...commonSettings,
} satisfies Settings;
