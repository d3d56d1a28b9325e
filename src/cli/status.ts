/** `sallyport status` */
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { statusSettings } from "../config/status.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { type HealthAddress, parseHealthAddress } from "../health/address.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { lines } from "./help.ts";

/** `sallyport status` */
export const statusCommand = command(
  "status",
  map(flagsOf(statusSettings), (flags): Action => (context) => showStatus(flags, context)),
  {
    usageLine: usageOf(),
    brief: message`Show how the gateway on this host is: its tunnel, its traffic, its last error.`,
    footer: lines(
      "Exit statuses:",
      "  0    the tunnel is up",
      "  1    the gateway runs, but there is no tunnel",
      "  2    wrong usage",
      "  5    no gateway answers",
      "",
      "Examples:",
      "  sallyport status --watch",
      "  sallyport status --health unix:/run/sallyport.sock --json",
      "  sallyport status > /dev/null || sallyport status     (in a crontab)",
    ),
  },
);

async function showStatus(flags: GivenFlags, context: CommandContext): Promise<number> {
  const { values: { health, json, watch } } = load(statusSettings, flags, context);
  const address = addressOf(health);
  const { readHealth } = await import("../health/client.ts");
  const ask = () => readHealth(address, context.signal);
  if (watch) {
    const { watchStatus } = await import("./status_watch.ts");
    return await watchStatus({ ask, json: json ?? false }, context);
  }
  const answer = await ask();
  if (json) context.out(JSON.stringify(answer.status, null, 2));
  else {
    const { headline, layOut, rowsOf } = await import("./status_text.ts");
    context.out([headline(answer), ...layOut(rowsOf(answer))].map(plain).join("\n"));
  }
  return answer.status.ready ? EXIT.ok : EXIT.failure;
}

function addressOf(text: string): HealthAddress {
  const address = parseHealthAddress(text, "--health");
  if (address) return address;
  throw new SallyportError("usage", "--health: the gateway serves no health (off)", {
    hint: "start it with --health-listen host:port or unix:/path",
  });
}

/** What a peer said must not move the cursor. */
function plain(line: string): string {
  // deno-lint-ignore no-control-regex
  return line.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ");
}
