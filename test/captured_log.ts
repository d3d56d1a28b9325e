/** The program's own log, read by a test. */
import process from "node:process";
import { configureLogs, type LogLevel } from "../src/log.ts";
import { noteOutput, WATCH } from "./secret_watch.ts";

/** Lines that were logged since `captureLog`; disposing of it silences the log again. */
export class CapturedLog implements Disposable {
  readonly lines: string[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(level: LogLevel) {
    configureLogs({
      level,
      format: "text",
      write: (line) => {
        noteOutput(line);
        this.lines.push(line.trimEnd());
        for (const look of [...this.#watchers]) look();
      },
    });
  }

  /** The first line that fits, as soon as there is one. Rejects if none comes within ten seconds. */
  line(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`no line fits ${pattern}; there are:\n${this.lines.join("\n")}`));
      }, 10_000);
      const look = () => {
        const found = this.lines.find((line) => pattern.test(line));
        if (found === undefined) return;
        clearTimeout(late);
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  [Symbol.dispose](): void {
    watchLogs();
  }
}

/** Logs for nobody but the search for secrets, which wants it all; without that search nothing. */
export function watchLogs(): void {
  const level = process.env[WATCH] === undefined ? "error" : "debug";
  configureLogs({ level, format: "json", write: noteOutput });
}

/** Reads the log from now on. */
export function captureLog(level: LogLevel = "info"): CapturedLog {
  return new CapturedLog(level);
}
