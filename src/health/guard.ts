/**
 * Who may read a gateway's health. Pure. A web page in a browser on this host can send requests here:
 * under a name of its own that it lets point to this address (DNS rebinding), or across origins. Both
 * are refused, so that no page but ours learns anything.
 */
import { isIP } from "node:net";
import type { HealthAddress } from "./address.ts";

/** Why a request is refused. */
export interface Refusal {
  status: 403 | 405 | 421;
  reason: string;
}

/** What a request is judged by. */
export interface GuardedRequest {
  method: string;
  /** A header's value. */
  header(name: string): string | undefined;
}

/** Gives why `request` is refused at `address`; undefined if it may be answered. */
export function refusalOf(request: GuardedRequest, address: HealthAddress): Refusal | undefined {
  const host = request.header("host");
  if (!isOwnHost(host, address)) {
    return { status: 421, reason: "this host name is not served here" };
  }
  if (isForeignPage(request, host)) {
    return { status: 403, reason: "pages of other origins are not answered" };
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, reason: "only GET and HEAD" };
  }
}

/** Loopback names, the bound host, and any IP address if every address is listened on. */
function isOwnHost(header: string | undefined, address: HealthAddress): boolean {
  // HTTP/1.0 knows no Host header; a browser always sends one. No browser reaches a UNIX socket.
  if (header === undefined || "path" in address) return true;
  const bound = address.host.toLowerCase();
  const host = header.replace(/:\d{1,5}$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (host === "localhost" || host === bound) return true;
  if (host === "::1" || (isIP(host) === 4 && host.startsWith("127."))) return true;
  const everywhere = bound === "" || bound === "0.0.0.0" || bound === "::";
  return everywhere && isIP(host) !== 0;
}

/** A link on another page may lead here; its scripts, frames and images may not ask. */
function isForeignPage({ header }: GuardedRequest, host: string | undefined): boolean {
  const origin = header("origin");
  if (origin !== undefined) return origin !== `http://${host}`;
  const site = header("sec-fetch-site");
  if (site === undefined || site === "same-origin" || site === "none") return false;
  return header("sec-fetch-mode") !== "navigate" || header("sec-fetch-dest") !== "document";
}
