/**
 * Which gateway is connected by which session. The newest authenticated session of a gateway gets all
 * new channels; the one before it keeps those that it has and is closed when the last of them ends.
 */
import { logger } from "../log.ts";
import type { GatewaySession } from "../ssh/server.ts";

const log = logger("relay");

/** How often a retired session is looked at, ms. */
const LOOK_EVERY = 250;
/** A retired session is closed after this long, whatever it still carries, ms. */
const RETIRE_WITHIN = 10 * 60_000;

/** Sessions by gateway id. */
export class Registry {
  readonly #current = new Map<string, GatewaySession>();
  readonly #all = new Set<GatewaySession>();

  /** Gateways connected now. */
  get size(): number {
    return this.#current.size;
  }

  /** Ids of the gateways connected now. */
  get gatewayIds(): string[] {
    return [...this.#current.keys()];
  }

  /** The session that new channels to a gateway go through. */
  get(gatewayId: string): GatewaySession | undefined {
    return this.#current.get(gatewayId);
  }

  /** Takes a session until it ends; an older one of the same gateway is retired. */
  add(session: GatewaySession): void {
    const { gatewayId } = session;
    const older = this.#current.get(gatewayId);
    this.#current.set(gatewayId, session);
    this.#all.add(session);
    session.closed.then((reason) => {
      this.#all.delete(session);
      if (this.#current.get(gatewayId) !== session) return;
      this.#current.delete(gatewayId);
      log.info("gateway {gatewayId} is gone: {reason}", {
        gatewayId,
        reason: reason?.message ?? "closed by this relay",
      });
    });
    if (older) {
      log.info("gateway {gatewayId} has connected anew; its older session is retired", {
        gatewayId,
      });
      retire(older);
    } else {
      log.info("gateway {gatewayId} is connected", { gatewayId });
    }
  }

  /** Ends all sessions of the gateways that the condition names, retired ones too. Gives their ids. */
  drop(condition: (gatewayId: string) => boolean): string[] {
    const dropped = [...this.#all].filter(({ gatewayId }) => condition(gatewayId));
    for (const session of dropped) session.close();
    return [...new Set(dropped.map(({ gatewayId }) => gatewayId))];
  }

  /** Ends every session and waits until they are gone. */
  async close(): Promise<void> {
    const sessions = [...this.#all];
    for (const session of sessions) session.close();
    await Promise.all(sessions.map((session) => session.closed));
  }
}

function retire(session: GatewaySession): void {
  if (session.channels === 0) return session.close();
  const deadline = performance.now() + RETIRE_WITHIN;
  const look = setInterval(() => {
    if (session.channels === 0 || performance.now() > deadline) session.close();
  }, LOOK_EVERY);
  session.closed.then(() => clearInterval(look));
}
