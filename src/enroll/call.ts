/**
 * One call of the platform's API over fetch: where it goes, how long it may take, and which error each
 * way of failing is. What an answer must contain is said in answers.ts.
 */
import { SallyportError } from "../errors.ts";
import { withoutUserinfo } from "../log.ts";

/** The real platform, US region; what is used where no domain is given. */
export const DEFAULT_DOMAIN = "https://app.infisical.com";

/** Time for one call, answer included, ms. */
export const CALL_TIMEOUT = 30_000;

/** Largest answer that is read, bytes; a registration is about 16 KiB. */
const MAX_ANSWER = 4 * 1024 * 1024;

/** Longest part of a server's own message that is passed on, characters. */
const MAX_MESSAGE = 300;

/** What a call needs. */
export interface CallOptions {
  /** With or without `/api` or a trailing slash. @default DEFAULT_DOMAIN */
  domain?: string;
  method: "GET" | "POST";
  /** From the version on, for example "/v2/gateways". */
  path: string;
  body?: unknown;
  /** Bearer token; without it none is sent. */
  token?: string;
  /** ms @default 30,000 */
  timeout?: number;
  /** Ends the call with the signal's reason. */
  signal?: AbortSignal;
  /** @default the global fetch */
  fetch?: typeof fetch;
}

/**
 * The API's base URL for a domain as people write it: with or without scheme, `/api`, trailing slash.
 * Throws `usage` if it is no http(s) URL or carries credentials, a query or a fragment.
 */
export function apiBase(domain: string = DEFAULT_DOMAIN): string {
  const trimmed = domain.trim();
  const bad = (why: string) =>
    new SallyportError("usage", `domain ${JSON.stringify(withoutUserinfo(trimmed))}: ${why}`, {
      hint: `give --domain as for example ${DEFAULT_DOMAIN}`,
    });
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
  if (!URL.canParse(absolute)) throw bad("not a URL");
  const url = new URL(absolute);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw bad("not an http or https URL");
  // A password with a slash in it makes what stands before the @ a path.
  if (trimmed.includes("@")) throw bad("it must not carry a user name or password");
  if (url.search || url.hash) throw bad("it must not carry a query or a fragment");
  const path = url.pathname.replace(/\/+$/, "").replace(/\/api$/, "");
  return `${url.origin}${path}/api`;
}

/**
 * Performs one call and gives the parsed JSON of a 2xx answer, or undefined if it is empty. Throws
 * one of the `api-*` codes, `revoked` or `credentials-refused`; redirects are not followed, so that
 * a token never goes where nobody sent it.
 */
export async function callApi(options: CallOptions): Promise<unknown> {
  const { method, path, body, token, timeout = CALL_TIMEOUT, signal } = options;
  const base = apiBase(options.domain);
  const call = `${method} ${base}${path}`;
  signal?.throwIfAborted();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(timedOut(call, timeout)), timeout);
  const ends = signal ? AbortSignal.any([deadline.signal, signal]) : deadline.signal;
  try {
    const response = await (options.fetch ?? fetch)(`${base}${path}`, {
      method,
      redirect: "manual",
      signal: ends,
      headers: {
        accept: "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await readText(response, call);
    if (!response.ok) throw statusError(response, text, call);
    return parseJson(text, call);
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    if (ends.aborted) throw ends.reason;
    throw unreachable(error, call);
  } finally {
    clearTimeout(timer);
  }
}

async function readText(response: Response, call: string): Promise<string> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER) {
      throw new SallyportError(
        "api-malformed",
        `${call}: the answer is longer than ${MAX_ANSWER} bytes`,
      );
    }
  }
  return text + decoder.decode();
}

function parseJson(text: string, call: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a key: it is left out on purpose.
    const kind = /^\s*</.test(text) ? "HTML" : "not JSON";
    throw new SallyportError("api-malformed", `${call}: the answer is ${kind}`, {
      hint: "check --domain: something other than the platform's API may be answering there",
    });
  }
}

function timedOut(call: string, timeout: number): SallyportError {
  return new SallyportError("api-unreachable", `${call}: no answer within ${timeout} ms`, {
    hint: "check that this host may reach the platform on that port",
  });
}

/** fetch puts the reason into the text of the cause and nowhere else; it only chooses words here. */
function unreachable(error: unknown, call: string): SallyportError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text = cause instanceof Error ? cause.message : String(cause);
  const detail = text.split(/client error \([A-Za-z]+\): /).at(-1)!;
  const host = new URL(call.slice(call.indexOf(" ") + 1)).hostname;
  const [why, hint] = /dns error|lookup address/i.test(text)
    ? [`no such host as ${host}`, "check --domain and this host's name resolution"]
    : /refused/i.test(text)
    ? ["connection refused", "check --domain, and that the platform is running"]
    : /certificate|tls|handshake|corrupt message/i.test(text)
    ? [
      `TLS failed: ${detail}`,
      "if a private authority signs the platform's certificate, give it with --ca-file",
    ]
    : [detail, "check that this host may reach the platform on that port"];
  return new SallyportError("api-unreachable", `${call}: ${why}`, { hint, cause: error });
}

function statusError(response: Response, text: string, call: string): SallyportError {
  const { status } = response;
  const said = serverMessage(text);
  const message = `${call}: ${status}${said && `, ${said}`}`;
  const retryAfter = readRetryAfter(response.headers.get("retry-after"), Date.now());
  if (status >= 300 && status < 400) {
    const to = placeOf(response.headers.get("location"));
    return new SallyportError("api-status", `${call}: ${status}, redirected to ${to}`, {
      hint: "give --domain as the address that it redirects to",
      retryable: false,
    });
  }
  switch (status) {
    case 401:
    case 403:
      if (saysRevoked(text)) {
        return new SallyportError("revoked", message, {
          hint: "it does not come back by itself: the platform's owner has cut it off",
        });
      }
      return new SallyportError("credentials-refused", message, {
        hint: status === 401
          ? "the token or secret is wrong, expired or revoked: get a new one from the platform"
          : "the identity may not do this: give it the role for gateways (or relays) on the platform",
      });
    case 404:
      return new SallyportError("api-not-found", message, {
        hint: "check the names given (relay, gateway) and --domain",
      });
    case 408:
      return new SallyportError("api-unreachable", message);
    case 429:
      return new SallyportError("api-rate-limited", message, {
        hint: retryAfter === undefined
          ? "too many calls came from here: wait before the next one"
          : `too many calls came from here: the next one is welcome in ${
            Math.ceil(retryAfter / 1000)
          } s`,
        retryAfter,
      });
  }
  if (status >= 500) return new SallyportError("api-status", message, { retryAfter });
  return new SallyportError("api-rejected", message, {
    hint: "the platform understood the call and does not want it as it is",
  });
}

/** Where a redirect leads, without what may be secret in it: a user's name and password, a query. */
function placeOf(location: string | null): string {
  const place = location?.replace(/[?#][^]*$/, "").slice(0, MAX_MESSAGE);
  return place ? withoutUserinfo(place) : "nowhere";
}

/** The embedded platform's way to tell who was cut off from who has a wrong token. */
function saysRevoked(text: string): boolean {
  try {
    return (JSON.parse(text) as { error?: unknown } | null)?.error === "Revoked";
  } catch {
    return false;
  }
}

/** The platform's own words in an error answer, on one line; "" if it has none. */
function serverMessage(text: string): string {
  try {
    const { message, error } = JSON.parse(text) as { message?: unknown; error?: unknown };
    const said = message ?? error ?? "";
    const words = typeof said === "string" ? said : JSON.stringify(said);
    // Control characters could forge log lines.
    // deno-lint-ignore no-control-regex
    return words.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, MAX_MESSAGE);
  } catch {
    return "";
  }
}

/** `Retry-After` (RFC 9110 §10.2.3), seconds or a date, as ms from `now`; undefined if unreadable. */
export function readRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
