/** Reads a gateway's health from its address, for whoever wants to show it. */
import { request, type RequestOptions } from "node:http";
import type * as z from "zod";
import { formatHealthAddress, type HealthAddress } from "./address.ts";
import { SallyportError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { type GatewayHistory, type GatewayStatus, historySchema, statusSchema } from "./schema.ts";

/** Time for an answer, ms. */
const TIMEOUT = 5_000;
/** No answer of a gateway is longer, bytes. */
const LONGEST = 1024 * 1024;

/** Everything that a gateway tells about itself. */
export interface GatewayHealth {
  status: GatewayStatus;
  history: GatewayHistory;
}

/**
 * Asks the gateway at `address`. Rejects with `gateway-unreachable` if nobody answers there, or
 * something that is no gateway.
 */
export async function readHealth(
  address: HealthAddress,
  signal?: AbortSignal,
): Promise<GatewayHealth> {
  const [status, history] = await Promise.all([
    read(address, "/status", statusSchema, signal),
    read(address, "/history", historySchema, signal),
  ]);
  return { status, history };
}

async function read<T extends z.ZodType>(
  address: HealthAddress,
  path: string,
  schema: T,
  signal?: AbortSignal,
): Promise<z.output<T>> {
  const where = formatHealthAddress(address);
  const answer = await get(address, path, signal).catch((error) => {
    signal?.throwIfAborted();
    throw new SallyportError(
      "gateway-unreachable",
      `no gateway answers at ${where}: ${why(error)}`,
      {
        hint: "see that it runs, and name its address with --health if it is another one",
        cause: error,
      },
    );
  });
  const said = answer.status === 200 ? parse(answer.body) : undefined;
  const result = schema.safeParse(said);
  if (result.success) return result.data;
  if (isOfAnother(said)) {
    throw new SallyportError(
      "gateway-unreachable",
      `the gateway at ${where} has version ${said.version}, and is not understood`,
      { hint: `use the same version for both; this one is ${VERSION}` },
    );
  }
  throw new SallyportError("gateway-unreachable", `what answers at ${where} is no gateway`, {
    hint: "name the gateway's address with --health",
  });
}

/** A wildcard is an address to listen on, and none to connect to. */
function target(address: HealthAddress): RequestOptions {
  if ("path" in address) return { socketPath: address.path, headers: { host: "localhost" } };
  const { host, port } = address;
  if (host === "" || host === "0.0.0.0") return { host: "127.0.0.1", port };
  return { host: host === "::" ? "::1" : host, port };
}

function get(
  address: HealthAddress,
  path: string,
  signal?: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const late = AbortSignal.timeout(TIMEOUT);
    const asked = request({
      ...target(address),
      path,
      // One connection a question: a gateway that was started again is asked anew.
      agent: false,
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    asked.on("error", (error) => reject(late.aborted ? new Error("it takes too long") : error));
    asked.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
        if (body.length > LONGEST) asked.destroy(new Error("its answer does not end"));
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.end();
  });
}

function isOfAnother(answer: unknown): answer is { version: string } {
  const { version, gateway } = (answer ?? {}) as Record<string, unknown>;
  return typeof version === "string" && typeof gateway === "string" && version !== VERSION;
}

function why(error: { code?: string; message?: string }): string {
  if (error.code === "ECONNREFUSED") return "connection refused";
  if (error.code === "ENOENT") return "there is no such socket";
  if (error.code === "EACCES") return "this user may not ask it";
  return error.message ?? String(error);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
