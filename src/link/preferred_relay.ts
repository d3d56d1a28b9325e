/**
 * Back to a better relay. When nobody named one, a gateway may have ended up with a relay that is not
 * the one it should have: an instance's, one far away, one that stood in for another. It looks around
 * now and then, and moves once a better one has been well for a while.
 */
import { asSallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { logger } from "../log.ts";
import type { Clock } from "./clock.ts";
import type { Rotation } from "./rotation.ts";
import type { RelaySighting } from "./select_relay.ts";
import type { LinkState } from "./state.ts";

const log = logger("link");

/** Time between two looks, ms; up to a tenth more or less by chance. */
const LOOK_EVERY = 5 * 60_000;
/** A better relay must be seen so many times in a row: that is ten minutes. */
const LOOKS = 3;
/** Connect times within this of each other, or of which none is twice the other, are alike, ms. */
const ALIKE = 10;

/** Decides when to move, and where. Pure. */
export class PreferredRelay {
  #home: string;
  #better: string | undefined;
  #looks = 0;

  /** @param home the relay that was chosen when none had failed */
  constructor(home: string) {
    this.#home = home;
  }

  /**
   * Takes in one look at the relays that answer, while the session goes through `current`. Gives the
   * relay to move to, if it is time.
   */
  note(sightings: readonly RelaySighting[], current: string): string | undefined {
    const better = this.#betterThan(current, sightings);
    this.#looks = better !== undefined && better === this.#better ? this.#looks + 1 : 1;
    this.#better = better;
    if (better === undefined || this.#looks < LOOKS) return undefined;
    this.#home = better;
    this.#better = undefined;
    return better;
  }

  /** The organisation's before the instance's, then a much nearer one, then the one it came from. */
  #betterThan(current: string, sightings: readonly RelaySighting[]): string | undefined {
    const here = sightings.find(({ name }) => name === current);
    // It serves us, but takes nobody new, or the platform has not heard of it: no time for comparisons.
    if (!here) return undefined;
    const own = sightings.some((relay) => relay.own);
    const best = sightings.filter((relay) => relay.own === own);
    const nearest = best.reduce((a, b) => b.ms < a.ms ? b : a, best[0]!);
    const home = best.find(({ name }) => name === this.#home);
    const aim = home && !isMuchNearer(nearest, home) ? home : nearest;
    if (aim.name === current) return undefined;
    const reason = here.own !== own || aim === home || isMuchNearer(aim, here);
    return reason ? aim.name : undefined;
  }
}

function isMuchNearer(a: RelaySighting, b: RelaySighting): boolean {
  return b.ms - a.ms > ALIKE && b.ms > 2 * a.ms;
}

/** What keeping to the preferred relay takes. */
export interface PreferredRelayOptions {
  /** The relays that answer now. */
  look(): Promise<RelaySighting[]>;
  rotation: Pick<Rotation, "newest" | "moveTo">;
  state: LinkState;
  clock: Clock;
  /** @default Math.random */
  random?: () => number;
}

/** Looks around until `signal` aborts; rejects with its reason then, and never before. */
export async function keepToPreferred(
  { look, rotation, state, clock, random = Math.random }: PreferredRelayOptions,
  signal: AbortSignal,
): Promise<never> {
  const folded = new FoldedLog(log, () => clock.now());
  const first = await state.until(({ phase }) => phase === "up", signal);
  let preferred = first.relay?.name === undefined
    ? undefined
    : new PreferredRelay(first.relay.name);
  for (;;) {
    await clock.wait(LOOK_EVERY * (0.9 + 0.2 * random()), signal);
    const { relay } = await state.until(({ phase }) => phase === "up", signal);
    // The platform has chosen, and goes on choosing.
    if (relay?.name === undefined) continue;
    preferred ??= new PreferredRelay(relay.name);
    try {
      const sightings = await look();
      const to = preferred.note(sightings, relay.name) ??
        wayBack(rotation.newest?.relayName, relay.name, sightings);
      if (to === undefined) continue;
      log.info("the tunnel is to go on through relay {to} instead of {from}", {
        to,
        from: relay.name,
      });
      await rotation.moveTo(to, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { message, code } = asSallyportError(error);
      folded.tell("info", "no look at the other relays: {message}", { message, code });
    }
  }
}

/** The session has not come to the relay that it was to move to, and that one is gone: it stays. */
function wayBack(
  aim: string | undefined,
  current: string,
  sightings: readonly RelaySighting[],
): string | undefined {
  if (aim === undefined || aim === current) return undefined;
  if (sightings.some(({ name }) => name === aim)) return undefined;
  return current;
}
