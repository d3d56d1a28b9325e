/** One http request on its way through: what is sent on, and where to. No connection is made here. */
import type { IncomingMessage } from "node:http";
import type { Route } from "../channel/route.ts";
import { SallyportError } from "../errors.ts";
import type { ForwardContext } from "./handler.ts";
import type { HttpConfig } from "./http_config.ts";
import { endToEnd, type Field, fieldsOf, valuesOf, without } from "./http_headers.ts";
import { hostHeader, type Origin, readOrigin } from "./http_origin.ts";
import { ACTION_HEADER, apiServer, readAction, serviceAccountToken } from "./kubernetes.ts";

/** A request as it is to be sent. */
export interface RequestPlan {
  origin: Origin;
  config: HttpConfig;
  method: string;
  /** Origin form (RFC 9112 §3.2.1). */
  path: string;
  fields: Field[];
  /** Whether sending it twice does what sending it once does (RFC 9110 §9.2.2), and can be done. */
  repeatable: boolean;
}

/** What a plan is made from, beside the request. */
export interface PlanContext {
  route: Route;
  config: HttpConfig;
  kubernetes: ForwardContext["kubernetes"];
}

const REPEATABLE = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
/** Methods whose requests have a body as a rule, so that a missing one is told (RFC 9110 §8.6). */
const WITH_BODY = new Set(["POST", "PUT", "PATCH"]);

/** Plans a request. Throws a SallyportError that says what is wrong with it. */
export async function planRequest(
  request: IncomingMessage,
  { route, config, kubernetes }: PlanContext,
): Promise<RequestPlan> {
  const received = fieldsOf(request.rawHeaders);
  const action = readAction(valuesOf(received, ACTION_HEADER), route.actor);
  const framing = framingOf(received, request.method ?? "GET");
  let fields = [
    ...without(endToEnd(received), "host", "content-length", "expect", ACTION_HEADER),
    ...framing.fields,
  ];
  if (action) {
    fields = [
      ...without(fields, "authorization"),
      ["Authorization", `Bearer ${await serviceAccountToken(kubernetes)}`],
    ];
  }
  let origin: Origin;
  let verification = config;
  if (action === "use-k8s-sa") {
    const { host, port, ca } = await apiServer(kubernetes);
    origin = { secure: true, host, port };
    verification = { ca, verify: true };
  } else {
    if (!route.target) throw new SallyportError("route-malformed", "http mode without a target");
    origin = readOrigin(route.target);
  }
  const method = request.method ?? "GET";
  return {
    origin,
    config: verification,
    method,
    path: originForm(request.url ?? "/"),
    fields: [["Host", hostHeader(origin)], ...fields],
    repeatable: !framing.body && REPEATABLE.has(method),
  };
}

/** How the body's end is told to the target: as the client told it to us. */
function framingOf(received: Field[], method: string): { fields: Field[]; body: boolean } {
  const codings = valuesOf(received, "transfer-encoding");
  const [length] = valuesOf(received, "content-length");
  const expect = valuesOf(received, "expect").map((value): Field => ["Expect", value]);
  if (codings.length > 0) {
    if (codings.join().trim().toLowerCase() !== "chunked") {
      throw new SallyportError("route-malformed", `transfer coding "${codings}" is not supported`);
    }
    return { fields: [["Transfer-Encoding", "chunked"], ...expect], body: true };
  }
  if (length !== undefined) {
    return { fields: [["Content-Length", length], ...expect], body: Number(length) > 0 };
  }
  return { fields: WITH_BODY.has(method) ? [["Content-Length", "0"]] : [], body: false };
}

/** The absolute form names a host of its own; the target is the certificate's, whatever it says. */
function originForm(url: string): string {
  if (url.startsWith("/") || url === "*") return url;
  try {
    const { pathname, search } = new URL(url);
    return pathname + search;
  } catch (cause) {
    throw new SallyportError("route-malformed", "the request target is malformed", { cause });
  }
}
