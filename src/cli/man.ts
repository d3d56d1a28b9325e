/** `sallyport man`: the manual page, from the definitions that the help is made of. */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { EXIT } from "../errors.ts";
import type { Action } from "./context.ts";
import { examples } from "./help.ts";

/** `sallyport man` */
export const manCommand = command(
  "man",
  map(object({}), (): Action => async ({ out }) => {
    // The page describes the whole command line, of which this is a part.
    const [{ root }, { manPage }] = await Promise.all([
      import("./cli.ts"),
      import("./man_page.ts"),
    ]);
    out(manPage(root));
    return EXIT.ok;
  }),
  {
    usageLine: [],
    brief: message`Print the manual page.`,
    footer: examples(
      "sallyport man > /usr/local/share/man/man1/sallyport.1",
      "sallyport man | man -l -",
    ),
  },
);
