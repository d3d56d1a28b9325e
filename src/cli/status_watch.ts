/** `sallyport status --watch`: looks again and again, on a terminal or for a file. */
import { asSallyportError, EXIT } from "../errors.ts";
import type { GatewayHealth } from "../health/client.ts";
import { type Clock, systemClock } from "../link/clock.ts";
import type { CommandContext, Terminal } from "./context.ts";
import { headline } from "./status_text.ts";
import { type Sight, viewLines } from "./status_view.ts";

/** Time between two looks, ms. */
const LOOK_EVERY = 1_000;

// What terminals understand (ECMA-48, and DEC's private modes).
const OTHER_SCREEN = "\x1b[?1049h\x1b[?25l";
const FIRST_SCREEN = "\x1b[?1049l\x1b[?25h";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** What is watched, and how it is shown. */
export interface WatchOptions {
  ask(): Promise<GatewayHealth>;
  /** One object a line instead of anything else. */
  json: boolean;
  clock?: Clock;
}

/** Watches until the program is told to stop; gives the exit status. */
export async function watchStatus(
  { ask, json, clock = systemClock }: WatchOptions,
  context: CommandContext,
): Promise<number> {
  const { terminal, env, signal } = context;
  const show = json
    ? showJson(context)
    : terminal && env.TERM !== "dumb"
    ? showScreen(context, terminal)
    : showLines(context, clock);
  let last: { health: GatewayHealth; at: number } | undefined;
  show.begin?.();
  try {
    while (!signal.aborted) {
      try {
        const health = await ask();
        const at = performance.now();
        show.look({ health, silence: undefined, rate: last && rateBetween(last, { health, at }) });
        last = { health, at };
      } catch (error) {
        if (signal.aborted) break;
        show.look({
          health: last?.health,
          silence: asSallyportError(error).message,
          rate: undefined,
        });
      }
      await clock.wait(LOOK_EVERY, signal).catch(() => {});
    }
  } finally {
    show.end?.();
  }
  return EXIT.ok;
}

interface Show {
  begin?(): void;
  look(sight: Sight): void;
  end?(): void;
}

function rateBetween(
  before: { health: GatewayHealth; at: number },
  after: { health: GatewayHealth; at: number },
): Sight["rate"] {
  const [was, is] = [before.health.status.bytes, after.health.status.bytes];
  const seconds = (after.at - before.at) / 1000;
  // A gateway that was started again counts anew.
  if (seconds <= 0 || is.in < was.in || is.out < was.out) return undefined;
  return { in: (is.in - was.in) / seconds, out: (is.out - was.out) / seconds };
}

function showJson({ out, err }: CommandContext): Show {
  let complaint: string | undefined;
  return {
    look({ health, silence }) {
      if (silence === undefined) out(JSON.stringify(health!.status));
      else if (silence !== complaint) err(`sallyport: ${silence}`);
      complaint = silence;
    },
  };
}

/** A line when something has changed. */
function showLines({ out }: CommandContext, clock: Clock): Show {
  let told: string | undefined;
  return {
    look({ health, silence }) {
      const now = silence ?? `${health!.status.gateway}: ${health!.status.reason}`;
      if (now === told) return;
      told = now;
      out(`${new Date(clock.now()).toISOString().slice(0, 19)}Z  ${now.replace(/[\r\n]+/g, " ")}`);
    },
  };
}

/** The whole terminal; what stood there before is back at the end, with the last sentence below it. */
function showScreen({ out }: CommandContext, terminal: Terminal): Show {
  let last: Sight | undefined;
  const draw = (prefix: string, sight: Sight) => {
    const lines = viewLines(sight, {
      columns: terminal.columns() || 80,
      rows: terminal.rows() || 24,
      colour: terminal.colours,
    });
    out(prefix + HOME + lines.map((line) => line + CLEAR_LINE).join("\n") + CLEAR_BELOW);
  };
  return {
    begin: () => draw(OTHER_SCREEN, { health: undefined, silence: undefined, rate: undefined }),
    look(sight) {
      last = sight;
      draw("", sight);
    },
    end() {
      const words = last?.silence ?? (last?.health && headline(last.health)) ?? "";
      out(FIRST_SCREEN + words.replace(/[\r\n]+/g, " "));
    },
  };
}
