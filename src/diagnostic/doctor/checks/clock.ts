/** This host's clock against the platform's Date header (RFC 9110 §6.6.1). */
import { type Check, fail, pass, skip, warn } from "../check.ts";

/** Certificates are issued as from now, or a minute ago: more is too much, ms. */
const TOO_MUCH = 60_000;
/** Client certificates live five minutes: this much is worth a word, ms. */
const NOTABLE = 5_000;

/** See above. */
export const clock: Check = {
  id: "clock",
  title: "clock",
  needs: ["api"],
  run({ facts: { date } }) {
    if (!date) return skip("the platform's answer has no Date");
    const skew = skewOf(date);
    const seconds = (Math.abs(skew) / 1000).toFixed(skew === 0 ? 0 : 1);
    if (skew === 0) return pass("as the platform's, to the second");
    const finding = `${seconds} s ${skew > 0 ? "ahead of" : "behind"} the platform's`;
    const remedy = "let this host's clock be set by NTP: timedatectl set-ntp true, or chronyd; " +
      "its firewall rule is UDP port 123";
    if (Math.abs(skew) > TOO_MUCH) {
      return fail(
        `${finding}: certificates do not hold yet, or no more`,
        remedy,
        "certificate-validity",
      );
    }
    return Math.abs(skew) > NOTABLE ? warn(finding, remedy) : pass(finding);
  },
};

/**
 * How far our clock is ahead, ms; 0 if that cannot be told. The header has whole seconds, cut off, and
 * was written at some time between asking and answer.
 */
export function skewOf(
  { server, before, after }: { server: number; before: number; after: number },
): number {
  if (before > server + 1000) return before - (server + 1000);
  if (after < server) return after - server;
  return 0;
}
