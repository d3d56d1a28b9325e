/** `sallyport demo` */
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { commonSettings } from "../config/common.ts";
import type { Action } from "./context.ts";
import { flagsOf, load, usageOf } from "./flags.ts";

/** A demo is a story; the parts' own logs would drown it. */
const demoSettings = {
  ...commonSettings,
  logLevel: { ...commonSettings.logLevel, default: "error" },
};

/** `sallyport demo` */
export const demoCommand = command(
  "demo",
  map(flagsOf(demoSettings), (flags): Action => async (context) => {
    load(demoSettings, flags, context);
    const { runDemo } = await import("../demo/demo.ts");
    return await runDemo(context);
  }),
  {
    usageLine: usageOf(),
    brief: message`Platform, relay, gateway and client on this machine, with real traffic. 20 s.`,
  },
);
