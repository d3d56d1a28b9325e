/**
 * Bytes to a target and back: from here through platform, relay and gateway to a port that doctor itself
 * opens on loopback. Where the platform gives no connections, the gateway's own readiness is what is left.
 */
import { randomBytes } from "node:crypto";
import { asSallyportError, type SallyportError } from "../../../errors.ts";
import { type Check, fail, type Outcome, pass, skip, warn } from "../check.ts";
import type { DoctorContext } from "../context.ts";
import { startEcho } from "../echo.ts";
import {
  grantFor,
  pingThroughPlatform,
  Refused,
  streamThroughPlatform,
} from "../through_platform.ts";

/** See above. */
export const roundTrip: Check = {
  id: "round-trip",
  title: "round trip",
  needs: ["registration"],
  patience: 2,
  async run(context, signal) {
    await using echo = await startEcho();
    let grant;
    try {
      grant = await grantFor(context, { host: echo.host, port: echo.port }, signal);
    } catch (error) {
      if (error instanceof Refused) return await readinessInstead(error.message, context, signal);
      throw error;
    }
    try {
      const started = performance.now();
      const sent = randomBytes(16).toString("hex");
      const back = await streamThroughPlatform(grant, "infisical-tcp-proxy", {
        say: sent,
        length: sent.length,
        signal,
      });
      if (back !== sent) return await echoless(context, signal);
      const ms = (performance.now() - started).toFixed(1);
      return pass(`through platform, relay and gateway to a port of this host and back: ${ms} ms`);
    } catch (error) {
      signal.throwIfAborted();
      return await explain(asSallyportError(error), context, signal);
    }
  },
};

/** The stream ended without an echo: is the gateway in a network of its own, or is it broken? */
async function echoless(context: DoctorContext, signal: AbortSignal): Promise<Outcome> {
  const alive = await pingThroughPlatform(context, signal).catch(() => false);
  if (!alive) {
    return fail(
      "the stream through the tunnel ends without an answer",
      "see the gateway's log",
      "gateway-unreachable",
    );
  }
  return warn(
    "the gateway answers through the platform, but does not reach a port on this host's loopback",
    "nothing, if it runs in a container or on another host; else see its log",
  );
}

async function explain(
  error: SallyportError,
  context: DoctorContext,
  signal: AbortSignal,
): Promise<Outcome> {
  const { code, message, hint } = error;
  if (code === "relay-unreachable") {
    const why =
      "this host does not reach the relay's port for clients, which a gateway need not: " +
      message;
    return await readinessInstead(why, context, signal);
  }
  if (code === "gateway-unreachable" && !(await atWork(context, signal))) {
    return skip(`no gateway is at work: ${message}`, "sallyport gateway start, then doctor again");
  }
  return fail(message, hint, code);
}

async function atWork({ facts, gatewayHere, name }: DoctorContext, signal: AbortSignal) {
  if (facts.loggedIn) return true;
  const here = await gatewayHere(signal);
  return here.kind === "gateway" && here.gateway === name;
}

/** What can be said without a connection through the platform. */
async function readinessInstead(
  why: string,
  { gatewayHere, name }: DoctorContext,
  signal: AbortSignal,
): Promise<Outcome> {
  const here = await gatewayHere(signal);
  if (here.kind !== "gateway" || here.gateway !== name) return skip(`not tried: ${why}`);
  return here.ready
    ? pass(`only the gateway's own word, ${here.reason} (not tried through the platform: ${why})`)
    : fail(`the gateway is not ready: ${here.reason}`, "see its log", "relay-unreachable");
}
