/**
 * Outbound TCP: every address of a name, both families, one deadline (RFC 8305, Happy Eyeballs).
 */
import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { type ErrorCode, SallyportError } from "../errors.ts";

/** Time between the starts of two attempts, ms (RFC 8305 §5). */
const ATTEMPT_DELAY = 250;
/** Time for resolving and all attempts together, ms. */
export const DIAL_TIMEOUT = 30_000;

/** How one call is limited. */
export interface DialOptions {
  signal?: AbortSignal;
  /** ms @default 30,000 */
  timeout?: number;
  /**
   * The name is looked up and all addresses are tried once more, beside the attempts under way, each
   * time that this long has passed, ms: the system itself asks an absent host again ever more rarely,
   * and so notices late that it has come back. @default never
   */
  again?: number;
  /**
   * Asked about each address just before it is dialled; one that it gives an error for is not. If it
   * gives one for every address, the call rejects with the first of them, as it is.
   */
  admit?: (address: string) => SallyportError | undefined;
}

/**
 * Connects to `host:port`; half-open allowed, Nagle off. `host` is a name or an address, an IPv6 one
 * also in brackets. Rejects with the dialer's error code, naming the address and why; with the
 * signal's reason (or `aborted`) if the signal ends it.
 */
export type Dial = (host: string, port: number, options?: DialOptions) => Promise<Socket>;

/** Gives the addresses of a name, the resolver's first choice first. */
export type Lookup = (host: string) => Promise<string[]>;

const systemLookup: Lookup = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/** Every address that `dial` would try for a host, in its order. */
export async function addressesOf(host: string): Promise<string[]> {
  const bare = unbracketed(host);
  return isIP(bare) ? [bare] : interleave(await systemLookup(bare));
}

/** A dialer whose failures carry `code` and call the other side `what`; each call looks its name up. */
export function dialer(code: ErrorCode, what: string, lookUp = systemLookup): Dial {
  return async (host, port, { signal, timeout = DIAL_TIMEOUT, again, admit } = {}) => {
    const where = `${what} ${host.includes(":") ? `[${unbracketed(host)}]` : host}:${port}`;
    const stop = new AbortController();
    const onAbort = () => stop.abort(asAborted(signal?.reason, where));
    const timer = setTimeout(
      () => stop.abort(new SallyportError(code, `${where}: no answer within ${timeout} ms`)),
      timeout,
    );
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const addresses = await resolve(unbracketed(host), lookUp, {
        signal: stop.signal,
        again,
      });
      return await race(addresses, port, { signal: stop.signal, again, admit });
    } catch (error) {
      if (stop.signal.aborted) throw stop.signal.reason;
      const refusal = refusalOfAll(error);
      if (refusal) throw refusal;
      throw new SallyportError(code, `${where}: ${reason(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  };
}

/** For targets behind the gateway: rejects with `target-unreachable`. */
export const dial: Dial = dialer("target-unreachable", "target");

/** What `admit` said, if it refused every address. */
function refusalOfAll(error: unknown): SallyportError | undefined {
  if (!(error instanceof AggregateError)) return undefined;
  const refusals = error.errors.filter((one) => one instanceof SallyportError);
  return refusals.length === error.errors.length ? refusals[0] : undefined;
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function asAborted(why: unknown, where: string): SallyportError {
  if (why instanceof SallyportError) return why;
  return new SallyportError("aborted", `connecting to ${where} was given up`, { cause: why });
}

async function resolve(
  host: string,
  addressesOf: Lookup,
  { signal, again }: { signal: AbortSignal; again: number | undefined },
): Promise<string[]> {
  if (isIP(host)) return [host];
  let asking = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  const found = new Promise<string[]>((resolve, reject) => {
    const ask = () => {
      asking++;
      // While another question is open, it may still be answered.
      addressesOf(host).then(resolve, (error) => --asking === 0 && reject(error));
    };
    if (again !== undefined) timer = setInterval(ask, again);
    ask();
  });
  try {
    return interleave(await abortable(found, signal));
  } finally {
    clearInterval(timer);
  }
}

/** RFC 8305 §4: families take turns, beginning with the resolver's first choice. */
export function interleave(addresses: string[]): string[] {
  const first = isIP(addresses[0] ?? "");
  const same = addresses.filter((a) => isIP(a) === first);
  const other = addresses.filter((a) => isIP(a) !== first);
  return same.flatMap((address, i) => [address, ...other.slice(i, i + 1)])
    .concat(other.slice(same.length));
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const settle = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.finally(settle).then(resolve, reject);
  });
}

/** Rounds of attempts that may be under way at once. */
const ROUNDS = 4;

/**
 * The first address that connects wins; the others are given up. A failed attempt begins the next one
 * at once, a slow one after the delay. Rejects with the failures of a whole round of addresses.
 */
function race(
  addresses: string[],
  port: number,
  { signal, again, admit }: Pick<DialOptions, "again" | "admit"> & { signal: AbortSignal },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const attempts = new Map<Socket, number>();
    let failures: Error[] = [];
    let waiting: string[] = [];
    let round = 0;
    let over = false;
    let nextAddress: ReturnType<typeof setTimeout> | undefined;
    let nextRound: ReturnType<typeof setInterval> | undefined;

    const settle = (winner?: Socket) => {
      over = true;
      clearTimeout(nextAddress);
      clearInterval(nextRound);
      signal.removeEventListener("abort", abort);
      for (const socket of attempts.keys()) if (socket !== winner) socket.destroy();
    };
    const abort = () => {
      settle();
      reject(signal.reason);
    };
    const beginRound = () => {
      round++;
      failures = [];
      waiting = [...addresses];
      for (const [socket, began] of attempts) if (began <= round - ROUNDS) socket.destroy();
      begin();
    };
    const onFailure = (error: Error, began: number): void => {
      if (over || began !== round) return;
      failures.push(error);
      if (waiting.length > 0) return begin();
      // Attempts of older rounds would learn the same, only later.
      if ([...attempts.values()].includes(round)) return;
      settle();
      reject(new AggregateError(failures));
    };
    const begin = (): void => {
      clearTimeout(nextAddress);
      const host = waiting.shift();
      if (host === undefined) return;
      const began = round;
      const refusal = admit?.(host);
      if (refusal) return onFailure(refusal, began);
      const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
      attempts.set(socket, began);
      const onError = (error: Error) => {
        attempts.delete(socket);
        onFailure(error, began);
      };
      socket.on("error", onError);
      socket.once("close", () => attempts.delete(socket));
      socket.once("connect", () => {
        if (over) return void socket.destroy();
        settle(socket);
        socket.off("error", onError);
        resolve(socket);
      });
      if (waiting.length > 0) nextAddress = setTimeout(begin, ATTEMPT_DELAY);
    };

    if (signal.aborted) return abort();
    if (addresses.length === 0) return reject(new Error("its name has no address"));
    signal.addEventListener("abort", abort, { once: true });
    if (again !== undefined) nextRound = setInterval(beginRound, again);
    beginRound();
  });
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ETIMEDOUT: "timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  EADDRNOTAVAIL: "this host has no address to reach it from",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name server does not answer",
  EACCES: "forbidden by this host's firewall or permissions",
  EPERM: "forbidden by this host's firewall or permissions",
};

/** Why it failed, once for addresses that failed alike. */
function reason(error: unknown): string {
  if (error instanceof AggregateError) {
    return [...new Set(error.errors.map(reason))].join("; ");
  }
  const { code, message } = error as { code?: string; message?: string };
  return REASONS[code ?? ""] ?? message ?? String(error);
}
