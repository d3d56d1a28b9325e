/** Streams to the gateway as a client of the platform opens them, with that room's own code. */
import type { Buffer } from "node:buffer";
import { type ConnectionGrant, StreamOpener } from "../../client/stream.ts";
import { authorisedApi } from "../../enroll/credentials.ts";
import { SallyportError } from "../../errors.ts";
import type { DoctorContext } from "./context.ts";

/** The platform gives no connection, for a reason that is no fault of the gateway's. */
export class Refused extends Error {}

/** Keys for one target. Throws {@linkcode Refused}, or what else the API says. */
export async function grantFor(
  context: DoctorContext,
  target: { host: string; port: number },
  signal: AbortSignal,
): Promise<ConnectionGrant> {
  const { clientToken, domain, facts, name, timeout } = context;
  const api = clientToken
    ? authorisedApi({ method: "token", token: clientToken }, {
      domain,
      fetch: await context.fetch(),
      timeout: timeout * 2,
    })
    : facts.api;
  if (!api) throw new Refused("there are no credentials");
  try {
    const body = { gateway: name, targetHost: target.host, targetPort: target.port };
    return await api.openConnection(body, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SallyportError)) throw error;
    // A wrong token that was given for this very purpose is a failure, and no reason to skip.
    if (error.code === "credentials-refused" && !clientToken) {
      throw new Refused(
        "the gateway's own credentials open no connections; --client-token gives one that may",
      );
    }
    if (error.code === "api-not-found" || error.code === "api-malformed") {
      throw new Refused("this platform opens no connections for others");
    }
    throw error;
  }
}

/** Whether the gateway answers PONG through the platform. Rejects if the way there is closed. */
export async function pingThroughPlatform(
  context: DoctorContext,
  signal: AbortSignal,
): Promise<boolean> {
  // The target of a ping is not used, but every grant has one.
  const grant = await grantFor(context, { host: "127.0.0.1", port: 9 }, signal);
  return await streamThroughPlatform(grant, "infisical-ping", { length: 5, signal }) === "PONG\n";
}

/** What is said on a stream, and how much answer is waited for. */
export interface Talk {
  say?: string;
  length: number;
  signal: AbortSignal;
}

/** Opens a stream, speaks, ends it when enough came back, and gives what came back. */
export async function streamThroughPlatform(
  grant: ConnectionGrant,
  alpn: string,
  { say, length, signal }: Talk,
): Promise<string> {
  const stream = await new StreamOpener().stream(grant, alpn, signal);
  stream.on("error", () => {});
  const stop = () => stream.destroy();
  signal.addEventListener("abort", stop, { once: true });
  let back = "";
  try {
    if (say !== undefined) stream.write(say);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      back += chunk.toString("latin1");
      // Ended in good order, so that no log along the way tells of a broken connection.
      if (back.length >= length) stream.end();
      if (back.length > length) break;
    }
    return back;
  } catch {
    if (back.length === length) return back;
    // A stream that breaks has answered nothing.
    signal.throwIfAborted();
    return "";
  } finally {
    signal.removeEventListener("abort", stop);
    stream.destroy();
  }
}
