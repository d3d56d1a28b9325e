/** Looks a name up, and says why it has no address. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { fail, type Outcome, pass } from "./check.ts";

/** Most addresses that are shown. */
const MAX_SHOWN = 4;

/** The outcome of looking up `host`, which a person would mend at `setting`. */
export async function lookUp(host: string, setting: string): Promise<Outcome> {
  if (isIP(host)) return pass(`${host} is an address: nothing to look up`);
  try {
    const found = await lookup(host, { all: true, verbatim: true });
    const shown = found.slice(0, MAX_SHOWN).map(({ address }) => address).join(", ");
    const more = found.length > MAX_SHOWN ? ` and ${found.length - MAX_SHOWN} more` : "";
    return pass(`${host} has ${shown}${more}`);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EAI_AGAIN") {
      return fail(
        `${host}: the name server does not answer`,
        "missing firewall rule: UDP and TCP port 53 to this host's name servers " +
          "(/etc/resolv.conf); printed by: sallyport firewall --relay HOST --dns system",
        "name-resolution",
      );
    }
    return fail(
      `${host}: no such host`,
      `check ${setting}, and that this host's name servers know the name`,
      "name-resolution",
    );
  }
}
