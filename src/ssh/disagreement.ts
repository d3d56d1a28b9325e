/** Words for a key exchange that found no algorithms that both sides allow: what was offered, by whom. */
import { SallyportError } from "../errors.ts";
import type { Algorithms } from "./algorithms.ts";
import type { PeerOffer } from "./opening.ts";

/** Characters of a peer's list that are repeated in an error. */
const LONGEST_LIST = 400;

const FIELDS = [
  {
    // ssh2 takes names that only promise something, such as "ext-info-c", for algorithms.
    fits: /no matching key exchange algorithm|Unsupported key exchange algorithm/,
    what: "key exchange",
    offered: (offer: PeerOffer) => offer.kex,
    allowed: (ours: Algorithms) => ours.kex,
  },
  {
    fits: /no matching host key format/,
    what: "host key",
    offered: (offer: PeerOffer) => offer.serverHostKey,
    allowed: (ours: Algorithms) => ours.serverHostKey,
  },
  ...(["cs", "sc"] as const).flatMap((way) => {
    const direction = way === "cs" ? "C->S" : "S->C";
    return [
      {
        fits: new RegExp(`no matching ${direction} cipher`),
        what: "cipher",
        offered: (offer: PeerOffer) => offer.cipher[way],
        allowed: (ours: Algorithms) => ours.cipher,
      },
      {
        fits: new RegExp(`no matching ${direction} MAC`),
        what: "MAC",
        offered: (offer: PeerOffer) => offer.mac[way],
        allowed: (ours: Algorithms) => ours.mac,
      },
      {
        fits: new RegExp(`no matching ${direction} compression`),
        what: "compression",
        offered: (offer: PeerOffer) => offer.compression[way],
        allowed: () => ["none"],
      },
    ];
  }),
];

/**
 * `ssh-algorithms`, or `host-key-raw`, for ssh2's word that there is no algorithm in common; undefined if
 * it says something else.
 */
export function disagreement(
  message: string,
  offer: PeerOffer,
  ours: Algorithms,
  role: "client" | "server",
): SallyportError | undefined {
  const field = FIELDS.find(({ fits }) => fits.test(message));
  if (!field) return undefined;
  const names = named(field.offered(offer));
  const isRaw = field.what === "host key" && !names.includes("-cert-v01@");
  if (isRaw && role === "client") {
    return new SallyportError(
      "host-key-raw",
      `the relay shows a raw host key (${names}), not a certificate`,
      { hint: "the relay must present a host certificate signed by the platform" },
    );
  }
  return new SallyportError(
    "ssh-algorithms",
    `no ${field.what} algorithm in common with ${offer.ident}, which offers ${names}`,
    { hint: `allowed here: ${field.allowed(ours).join(", ")}` },
  );
}

/** What a peer's list says, fit for a log. */
function named(list: string[]): string {
  const text = list.join(", ").replace(/[^\x20-\x7e]/g, "?") || "nothing";
  return text.length > LONGEST_LIST ? `${text.slice(0, LONGEST_LIST)} …` : text;
}
