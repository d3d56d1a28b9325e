/** A script of OpenRC (Alpine, Gentoo), with its own supervisor. */
import type { Places, Service, ServiceIdentity } from "./description.ts";
import { type Manager, serviceArguments } from "./manager.ts";
import { quoteShell } from "./shell.ts";

/** OpenRC. */
export const openrc: Manager = {
  scopes: ["system"],
  files: (service, places) => [
    { path: scriptPath(service), mode: 0o755, text: script(service, places) },
  ],
  commands({ id }) {
    return {
      install: [
        { run: ["rc-update", "add", id, "default"] },
        { run: ["rc-service", id, "restart"] },
      ],
      uninstall: [
        { run: ["rc-service", id, "stop"], mayFail: true },
        { run: ["rc-update", "del", id, "default"], mayFail: true },
      ],
      start: [{ run: ["rc-service", id, "start"] }],
      stop: [{ run: ["rc-service", id, "stop"] }],
      status: { run: ["rc-service", id, "status"] },
    };
  },
};

function scriptPath({ id }: ServiceIdentity): string {
  return `/etc/init.d/${id}`;
}

function script(service: Service, places: Places): string {
  const args = serviceArguments(service, places).map(quoteShell).join(" ");
  const { role, name, runAs, stopTimeout } = service;
  return `#!/sbin/openrc-run
# shellcheck shell=sh disable=SC2034

description="sallyport ${role} ${name}"
supervisor="supervise-daemon"
command=${quoteShell(service.binary)}
command_args="${args.replace(/["\\$`]/g, "\\$&")}"
${runAs === undefined ? "" : `command_user=${quoteShell(runAs)}\n`}output_log=${
    quoteShell(places.log)
  }
error_log=${quoteShell(places.log)}
pidfile="/run/\${RC_SVCNAME}.pid"
umask="0077"
no_new_privs="yes"
respawn_delay=5
respawn_max=0
retry="SIGTERM/${Math.ceil(stopTimeout / 1000)}/SIGKILL/5"
extra_started_commands="reload"

depend() {
	use net dns
	after firewall
}

start_pre() {
	# A dump of the memory would hold keys.
	ulimit -c 0
	checkpath --directory --mode 0700 --owner ${owner(service)} ${quoteShell(places.state)}
	checkpath --file --mode 0600 --owner ${owner(service)} ${quoteShell(places.log)}
}

reload() {
	ebegin "Reloading \${RC_SVCNAME}"
	supervise-daemon "\${RC_SVCNAME}" --signal HUP --pidfile "\${pidfile}"
	eend $?
}
`;
}

function owner({ runAs = "root" }: Service): string {
  return quoteShell(runAs);
}
