/** `deno compile` with what the program may do. */
import { copyFile } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { V8_FLAGS } from "./v8_flags.ts";

/**
 * Where files may be read and written: a list of one path, out of which a command keeps what it needs and
 * gives up the rest (src/least_power.ts). Windows has no one root, and paths without a drive.
 */
function files(target: string): string[] {
  return target.includes("windows")
    ? ["--allow-read", "--allow-write"]
    : ["--allow-read=/", "--allow-write=/"];
}

/**
 * What the program may do; everything else is refused to it and to every library in it. It connects
 * and listens, reads and writes files that its user names, reads its environment, and asks the system
 * for the home directory, the user's number, the mask of new files and the authorities in its store. It
 * loads no native code. `sallyport service` and `sallyport doctor` run the programs of the service
 * managers; every other command gives that up at its start (src/main.ts). Datagrams to systemd
 * (src/service/notify.ts) are Deno's unstable part of the network.
 */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-net",
  "--allow-env",
  "--allow-sys=homedir,uid,umask,ca",
  // Not the programs by name: Deno looks for those in PATH as it starts, and ends where there is none.
  "--allow-run",
  "--unstable-net",
];

/**
 * Makes the binary `output` of the module `entry`; false, and a word on standard error, if that fails.
 *
 * Without V8's code cache: it would be read from a file in the temporary directory that anybody on the host
 * can know the name of and write first, and what it holds is run.
 */
export async function compile(
  entry: string,
  output: string,
  { target, runtime }: { target?: string; runtime?: string } = {},
): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--quiet", "--no-check", "--no-lock", "--no-config", "--no-npm"],
      ...PERMISSIONS,
      ...files(target ?? Deno.build.target),
      V8_FLAGS,
      "--no-code-cache",
      ...(target ? ["--target", target] : []),
      ...["--output", output, entry],
    ],
    cwd: dirname(output),
    env: runtime === undefined ? {} : { DENORT_BIN: runtime },
    stdin: "null",
  }).output().then(({ success, stderr }) => {
    if (!success) console.error(new TextDecoder().decode(stderr).trim());
    return { success };
  });
  return success;
}

/** A copy of a runtime without symbols, at `copy`, or the runtime itself where it cannot be stripped. */
export async function strippedRuntime(denort: string, copy: string): Promise<string> {
  if (process.platform !== "linux") return denort;
  await copyFile(denort, copy);
  try {
    const { success } = await new Deno.Command("strip", { args: [copy], stderr: "null" }).output();
    if (success) return copy;
  } catch {
    // There is no strip: the binary is larger, that is all.
  }
  return denort;
}
