/** `sallyport version` */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import { command, flag } from "@optique/core/primitives";
import { EXIT } from "../errors.ts";
import { VERSION } from "../version.ts";
import type { Action } from "./context.ts";
import { examples } from "./help.ts";

/** `sallyport version` */
export const versionCommand = command(
  "version",
  map(
    object({
      json: optional(flag("--json", { description: message`With what it is made of, as JSON.` })),
    }),
    ({ json }): Action => ({ out }) => {
      out(json ? JSON.stringify(facts(), null, 2) : VERSION);
      return Promise.resolve(EXIT.ok);
    },
  ),
  {
    usageLine: [{ type: "literal", value: "[--json]" }],
    brief: message`Print the version.`,
    footer: examples("sallyport version --json"),
  },
);

function facts() {
  const { os, arch, standalone } = Deno.build;
  const { deno, v8 } = Deno.version;
  return { version: VERSION, os, arch, compiled: standalone, deno, v8 };
}
