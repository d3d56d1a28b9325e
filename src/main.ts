/** The program: arguments → command → exit status, and the signals that end it. */
import { watchFile } from "node:fs";
import process from "node:process";
import { runCli } from "./cli/cli.ts";
import { secretVariables } from "./cli/flags.ts";
import { EXIT } from "./errors.ts";
import { closeSideDoors, giveUpPrograms, keepOnlyFiles, takeEnvironment } from "./least_power.ts";
import { wantsColour } from "./log_standard_error.ts";

// Only the service managers' programs are ever run, and only for those who ask about services.
const runsPrograms = ["service", "doctor"].includes(process.argv[2] ?? "");
if (!runsPrograms) giveUpPrograms();
closeSideDoors();
const env = takeEnvironment(secretVariables());

const stop = new AbortController();

/** The first signal asks the command to end, the second one ends the process. */
function onSignal(): void {
  if (stop.signal.aborted) process.exit(EXIT.interrupted);
  stop.abort();
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // Windows has no SIGTERM to listen to.
  if (signal === "SIGINT" || process.platform !== "win32") process.on(signal, onSignal);
}

// Who reads our output may stop reading, as `head` does: what is left has nobody to go to.
process.stdout.on("error", (error: Error & { code?: string }) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.ok);
});

const LOOK_EVERY = 2_000;
const reloads: (() => void)[] = [];
if (process.platform !== "win32") {
  process.on("SIGHUP", () => reloads.forEach((reload) => reload()));
}

function onReload(listener: () => void, file?: string): void {
  reloads.push(listener);
  if (file === undefined) return;
  // By its state, not by events: those do not tell of a file that is replaced through a link.
  watchFile(file, { persistent: false, interval: LOOK_EVERY }, (now, before) => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size) listener();
  });
}

const status = await runCli(process.argv.slice(2), {
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
  env,
  terminal: process.stdout.isTTY
    ? {
      columns: () => process.stdout.columns,
      rows: () => process.stdout.rows,
      colours: wantsColour(process.stdout, env),
    }
    : undefined,
  signal: stop.signal,
  onReload,
  keepOnlyFiles,
});
process.exit(status);
