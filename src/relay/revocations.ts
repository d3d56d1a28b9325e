/**
 * Whom the platform has cut off. The relay asks every few seconds; what it was told last holds until it
 * is told something else, and while the platform is away.
 */
import type { PlatformApi, Revocations } from "../enroll/api.ts";
import { asSallyportError, SallyportError } from "../errors.ts";
import { FoldedLog } from "../folding.ts";
import { askedWait } from "../link/backoff.ts";
import type { Clock } from "../link/clock.ts";
import { logger } from "../log.ts";

const log = logger("relay");

/** Twice this, and what a call takes, is well under the ten seconds that are promised, ms. */
const ASK_EVERY = 4_000;

/** The newest list. */
export class RevocationList {
  #gateways: ReadonlySet<string> = new Set();
  #identities: ReadonlySet<string> = new Set();

  /** Takes a new list. */
  replace({ gateways, identities }: Revocations): void {
    this.#gateways = new Set(gateways);
    this.#identities = new Set(identities);
  }

  /** The error to refuse a gateway with, if it is cut off. */
  refusal(gatewayId: string): SallyportError | undefined {
    if (!this.#gateways.has(gatewayId)) return undefined;
    return new SallyportError("revoked", `the platform has revoked the gateway ${gatewayId}`);
  }

  hasGateway(id: string): boolean {
    return this.#gateways.has(id);
  }

  hasIdentity(id: string | undefined): boolean {
    return id !== undefined && this.#identities.has(id);
  }
}

/** What asking takes. */
export interface AskOptions {
  /** Name of the relay that asks. */
  relay: string;
  api: Partial<Pick<PlatformApi, "revocations">>;
  list: RevocationList;
  clock: Clock;
  /** Told after each new list. */
  onList(): void;
}

/**
 * Asks until `signal` aborts, then rejects with its reason. Resolves if the platform has no such lists,
 * as Infisical's has not. Rejects with `revoked` if the relay or its own identity was cut off.
 */
export async function keepInformed(options: AskOptions, signal: AbortSignal): Promise<void> {
  const { relay, api, list, clock, onList } = options;
  if (!api.revocations) return;
  const folded = new FoldedLog(log, () => clock.now());
  for (;;) {
    let wait = ASK_EVERY;
    try {
      list.replace(await api.revocations({ relay }, signal));
      onList();
      const after = folded.recovered();
      if (after) log.info("revocation lists come again{after}", { after });
      folded.forget();
    } catch (error) {
      signal.throwIfAborted();
      const failure = asSallyportError(error);
      const { code, message, hint } = failure;
      if (code === "revoked") throw failure;
      if (code === "api-not-found") {
        log.info(
          "the platform offers no revocation lists: who is cut off there may keep an open session, " +
            "and begin others until its certificates end",
        );
        return;
      }
      folded.failed("warn", "no revocation list: {message}", { code, message, hint });
      wait = Math.max(ASK_EVERY, askedWait(failure));
    }
    await clock.wait(wait, signal);
  }
}
