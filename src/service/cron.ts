/**
 * Lines in a crontab, for machines where nothing better runs: at boot, and every minute, a script that
 * does nothing while the service runs. A lock that lives as long as the process tells that it does.
 */
import { posix } from "node:path";
import type { Places, Service, ServiceIdentity } from "./description.ts";
import { type Manager, type PlannedCommand, serviceArguments } from "./manager.ts";
import { quoteShell } from "./shell.ts";

/** cron, in root's table or in a user's. */
export const cron: Manager = {
  scopes: ["system", "user"],
  files: (service, places) => [
    { path: scriptPath(service, places), mode: 0o755, text: script(service, places) },
  ],
  commands(identity, places) {
    const path = scriptPath(identity, places);
    const sh = (verb: string) => ({ run: as(identity.runAs, path, verb) });
    // cron reads % as the end of the line.
    const line = quoteShell(path).replaceAll("%", "\\%");
    return {
      install: [{ ...sh("stop"), mayFail: true }, sh("start")],
      uninstall: [{ ...sh("stop"), mayFail: true }],
      start: [sh("start")],
      stop: [sh("stop")],
      status: sh("status"),
      crontab: {
        user: identity.runAs,
        lines: [`@reboot ${line} boot`, `* * * * * ${line} watch`],
      },
    };
  },
};

/** The lock and the log are to belong to the account that the service runs as. */
function as(user: string | undefined, path: string, verb: string): PlannedCommand["run"] {
  if (user === undefined) return ["sh", path, verb];
  return ["su", "-s", "/bin/sh", user, "-c", `sh ${quoteShell(path)} ${verb}`];
}

function scriptPath({ id }: ServiceIdentity, { folder }: Places): string {
  return posix.join(folder, `${id}.sh`);
}

function script(service: Service, places: Places): string {
  const command = [service.binary, ...serviceArguments(service, places)].map(quoteShell).join(" ");
  const seconds = Math.ceil(service.stopTimeout / 1000);
  return `#!/bin/sh
# Runs the sallyport ${service.role} ${service.name} once: boot, watch, start, stop or status.
umask 077
# A dump of the memory would hold keys.
ulimit -c 0
state=${quoteShell(places.state)}
log=${quoteShell(places.log)}
lock=$state/lock pid=$state/pid stopped=$state/stopped
exec 9>>"$lock" || exit 1

# The process holds descriptor 9, and with it the lock, until it ends.
runs() { ! flock -n 9; }

case \${1-watch} in
boot | watch)
  [ "$1" = boot ] && rm -f "$stopped"
  [ -e "$stopped" ] && exit 0
  # Who only asks holds the lock for a moment, too.
  runs && { sleep 1; runs && exit 0; }
  echo $$ >"$pid"
  exec ${command} >>"$log" 2>&1
  ;;
start)
  rm -f "$stopped"
  runs && exit 0
  flock -u 9
  nohup sh "$0" watch </dev/null >/dev/null 2>&1 9>&- &
  ;;
stop)
  : >"$stopped"
  runs || exit 0
  kill "$(cat "$pid")"
  left=${seconds}
  while runs; do
    [ $left -gt 0 ] || { kill -9 "$(cat "$pid")"; break; }
    left=$((left - 1))
    sleep 1
  done
  ;;
status)
  runs && { echo "${service.id} runs, process $(cat "$pid")"; exit 0; }
  echo "${service.id} does not run"
  exit 3
  ;;
*)
  echo "usage: $0 boot|watch|start|stop|status" >&2
  exit 2
  ;;
esac
`;
}
