/**
 * What systemd is told, sd_notify(3): that the gateway has started, what it does, that its link makes
 * progress, that it stops. One datagram a message, to the socket that NOTIFY_SOCKET names.
 */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { readiness } from "../health/readiness.ts";
import { type Clock, systemClock } from "../link/clock.ts";
import type { LinkSnapshot, LinkState } from "../link/state.ts";
import { logger, redact } from "../log.ts";
import type { Keepalive } from "../ssh/session.ts";
import { Progress } from "./progress.ts";

const log = logger("service");

/**
 * A gateway that has no tunnel after this long says that it has started all the same, ms. A relay that
 * is away is nothing that a restart cures: killed by the start timeout, the gateway would lose its
 * place in the backoff, and what is ordered after it would wait for ever. What cannot be cured ends the
 * process by itself, and so the start fails at once.
 */
export const START_PATIENCE = 30_000;

/** What the manager is told of. */
export interface NotifyOptions {
  state: LinkState;
  /** Bytes that the relay has sent in the newest session. */
  received(): number;
  keepalive: Keepalive;
  env: Record<string, string | undefined>;
  /** @default the time that a process runs: it stands still while the host sleeps */
  clock?: Clock;
}

/** Messages that may wait for the manager to read. */
const MOST_WAITING = 32;
/** How long the last of them may take, ms. */
const LAST_WORD = 1_000;

const runningClock: Clock = { ...systemClock, now: () => performance.now() };

/**
 * Tells systemd of the link until `finished` settles, and gives what that gives. Without NOTIFY_SOCKET
 * nobody is told.
 */
export async function notifyWhile(finished: Promise<void>, options: NotifyOptions): Promise<void> {
  const socket = openSocket(options.env.NOTIFY_SOCKET);
  if (!socket) return await finished;
  const over = new AbortController();
  const telling = tell(socket, options, over.signal);
  try {
    await finished;
  } finally {
    over.abort();
    await telling;
    socket.close();
  }
}

async function tell(socket: NotifySocket, options: NotifyOptions, over: AbortSignal) {
  const { state, clock = runningClock } = options;
  let stopping = false;
  const say = (link: LinkSnapshot) => {
    const stops = link.phase === "draining" && !stopping;
    stopping ||= stops;
    socket.send(...(stops ? ["STOPPING=1"] : []), `STATUS=${statusLine(link)}`);
  };
  say(state.snapshot);
  const unsubscribe = state.subscribe(say);
  await Promise.all([
    untilStarted(state, clock, over).then((started) => started && socket.send("READY=1")),
    beat(socket, options, clock, over),
    aborted(over),
  ]);
  unsubscribe();
  if (!stopping) socket.send("STOPPING=1");
  await socket.sent();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves with true once the gateway has started, with false if it ends before. */
async function untilStarted(state: LinkState, clock: Clock, over: AbortSignal): Promise<boolean> {
  const enough = new AbortController();
  const ends = AbortSignal.any([over, enough.signal]);
  const started = await Promise.race([
    state.until(({ phase }) => phase === "up", ends).then(() => true, () => false),
    clock.wait(START_PATIENCE, ends).then(() => true, () => false),
  ]);
  enough.abort();
  return started;
}

/** WATCHDOG=1 three times in the time that WATCHDOG_USEC allows, as long as the link makes progress. */
async function beat(
  socket: NotifySocket,
  { state, received, keepalive, env }: NotifyOptions,
  clock: Clock,
  over: AbortSignal,
): Promise<void> {
  const allowed = watchdogTime(env);
  if (allowed === undefined) return;
  const progress = new Progress(keepalive, clock.now());
  const unsubscribe = state.subscribe(({ phase }) => progress.changed(phase, clock.now()));
  try {
    while (!over.aborted) {
      if (progress.isMade(received(), clock.now())) socket.send("WATCHDOG=1");
      else log.warn("the link makes no progress, and the service manager is not told that it does");
      await clock.wait(allowed / 3, over).catch(() => {});
    }
  } finally {
    unsubscribe();
  }
}

/** ms; undefined if no watchdog is set, or one for another process. */
function watchdogTime({ WATCHDOG_USEC, WATCHDOG_PID }: NotifyOptions["env"]): number | undefined {
  const time = Number(WATCHDOG_USEC) / 1000;
  const mine = !WATCHDOG_PID || Number(WATCHDOG_PID) === process.pid;
  return mine && time > 0 ? time : undefined;
}

function statusLine(link: LinkSnapshot): string {
  // A line break would begin another assignment.
  return redact(readiness(link).reason).replace(/[\r\n]+/g, " ").slice(0, 500);
}

/** Where datagrams go, one after another. */
interface NotifySocket {
  send(...assignments: string[]): void;
  /** Resolves when everything that was sent so far has left, or after a second. */
  sent(): Promise<void>;
  close(): void;
}

function openSocket(name: string | undefined): NotifySocket | undefined {
  // Of the kinds of address that there are, a path and an abstract name are supported.
  if (!name || !/^[/@]/.test(name)) return undefined;
  let socket: Deno.DatagramConn;
  try {
    // The sender needs an address too: an abstract one leaves no file behind.
    socket = Deno.listenDatagram({
      transport: "unixpacket",
      path: `\0sallyport-notify-${process.pid}-${randomBytes(8).toString("hex")}`,
    });
  } catch (error) {
    log.warn("the service manager cannot be told anything: {message}", {
      message: (error as Error).message,
    });
    return undefined;
  }
  const to: Deno.UnixAddr = { transport: "unixpacket", path: name.replace(/^@/, "\0") };
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let complained = false;
  const complain = (error: Error) => {
    if (!complained) log.warn("the service manager is not told: {message}", error);
    complained = true;
  };
  return {
    send(...assignments) {
      // A manager that does not read is not waited for: what it misses is out of date soon.
      if (waiting >= MOST_WAITING) return;
      waiting++;
      const datagram = new TextEncoder().encode(assignments.join("\n"));
      last = last.then(() => socket.send(datagram, to)).catch(complain).finally(() => waiting--);
    },
    async sent() {
      const enough = new AbortController();
      const patience = systemClock.wait(LAST_WORD, enough.signal).catch(() => {});
      await Promise.race([last, patience]);
      enough.abort();
    },
    close: () => socket.close(),
  };
}
