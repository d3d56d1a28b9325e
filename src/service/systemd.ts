/**
 * A unit of systemd. The service says itself when it is ready, what it does, and that its link makes
 * progress (notify.ts). It runs as a user made for it, which sees nothing but its own state.
 */
import { EXIT } from "../errors.ts";
import type { Places, Service, ServiceIdentity } from "./description.ts";
import { type Manager, type PlannedFile, secretPath, serviceArguments } from "./manager.ts";

/** systemd kills and restarts a gateway that has not said for this long that its link moves, s. */
const WATCHDOG = 90;
/** A gateway says after 30 s at the latest that it has started (notify.ts), s. */
const START_TIMEOUT = 90;

/** Names in the environment, for systemd before 247. */
const VARIABLES: Record<string, string> = {
  "token": "INFISICAL_TOKEN",
  "client-secret": "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
  "relay-auth-secret": "INFISICAL_RELAY_AUTH_SECRET",
};

/** systemd, of the machine or of a user. */
export const systemd: Manager = {
  scopes: ["system", "user"],
  makesState: true,
  namesSecrets: ({ scope }) => scope === "user",
  files: (service, places) => [
    { path: unitPath(service), mode: 0o644, text: unit(service, places) },
    ...environmentFile(service, places),
  ],
  commands(identity) {
    const { id } = identity;
    const unit = `${id}.service`;
    const systemctl = (...args: string[]) => ({
      run: ["systemctl", ...(identity.scope === "user" ? ["--user"] : []), ...args] as const,
    });
    return {
      install: [
        systemctl("daemon-reload"),
        systemctl("enable", unit),
        systemctl("restart", unit),
      ],
      uninstall: [{ ...systemctl("disable", "--now", unit), mayFail: true }],
      removed: [
        systemctl("daemon-reload"),
        { ...systemctl("reset-failed", unit), mayFail: true },
      ],
      start: [systemctl("start", unit)],
      stop: [systemctl("stop", unit)],
      status: systemctl("status", "--no-pager", unit),
    };
  },
  // With DynamicUser the state folder is a link; before version 254 a user's was elsewhere.
  remains: ({ id, scope, home }) => [
    scope === "system" ? `/var/lib/private/${id}` : `${home}/.config/${id}`,
  ],
};

function unitPath({ id, scope, home }: ServiceIdentity): string {
  const folder = scope === "system" ? "/etc/systemd/system" : `${home}/.config/systemd/user`;
  return `${folder}/${id}.service`;
}

function environmentPath({ id }: ServiceIdentity, { folder }: Places): string {
  return `${folder}/${id}.env`;
}

/** Read by systemd itself, which is root, before the service's user is taken on. */
function environmentFile(service: Service, places: Places): PlannedFile[] {
  if (service.scope === "user" || service.credentials === "load") return [];
  const lines = Object.entries(service.secrets)
    .map(([key, text]) => `${VARIABLES[key]}="${text.replace(/["\\$`]/g, "\\$&")}"\n`);
  return lines.length === 0 ? [] : [
    { path: environmentPath(service, places), mode: 0o600, text: lines.join(""), secret: true },
  ];
}

function unit(service: Service, places: Places): string {
  const { role, name, scope, stopTimeout } = service;
  const system = scope === "system";
  return [
    "[Unit]",
    `Description=sallyport ${role} ${name}`,
    ...(system ? ["Wants=network-online.target", "After=network-online.target"] : []),
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    ...(role === "gateway"
      ? ["Type=notify", `TimeoutStartSec=${START_TIMEOUT}`, `WatchdogSec=${WATCHDOG}`]
      : ["Type=simple"]),
    `ExecStart=${command(service, places)}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "Restart=always",
    "RestartSec=5",
    // Revoked by the platform: no start can help.
    `RestartPreventExitStatus=${EXIT.revoked}`,
    `TimeoutStopSec=${Math.ceil(stopTimeout / 1000)}`,
    `StateDirectory=${service.id}`,
    "StateDirectoryMode=0700",
    ...secretLines(service, places),
    "",
    ...(system ? account(service) : []),
    ...hardening(service),
    "",
    "[Install]",
    `WantedBy=${system ? "multi-user.target" : "default.target"}`,
    "",
  ].join("\n");
}

/** Words of a command line as systemd reads them: quoted, and without specifiers and variables. */
function command(service: Service, places: Places): string {
  const words = [service.binary, ...serviceArguments(service, places)].map(quote);
  if (service.scope === "system" && service.credentials === "load") {
    for (const key of Object.keys(service.secrets)) {
      words.push(`--${key}`, `@\${CREDENTIALS_DIRECTORY}/${key}`);
    }
  }
  return words.join(" ");
}

function quote(word: string): string {
  const escaped = word.replace(/%/g, "%%").replace(/\$/g, "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(word) ? escaped : `"${escaped.replace(/["\\]/g, "\\$&")}"`;
}

function secretLines(service: Service, places: Places): string[] {
  if (service.scope === "user" || Object.keys(service.secrets).length === 0) return [];
  if (service.credentials === "environment") {
    return [`EnvironmentFile=${environmentPath(service, places)}`];
  }
  return Object.keys(service.secrets)
    .map((key) => `LoadCredential=${key}:${secretPath(service, places, key)}`);
}

function account({ runAs }: Service): string[] {
  return runAs === undefined ? ["DynamicUser=yes"] : [`User=${runAs}`];
}

/** What a user's own systemd cannot do for lack of privileges is left out there. */
function hardening({ scope, lowPort }: Service): string[] {
  const capabilities = lowPort ? "CAP_NET_BIND_SERVICE" : "";
  const forSystem = [
    `CapabilityBoundingSet=${capabilities}`,
    `AmbientCapabilities=${capabilities}`,
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateMounts=yes",
    // A capability in a user namespace of one's own opens no port of the host's.
    ...(lowPort ? [] : ["PrivateUsers=yes"]),
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RemoveIPC=yes",
  ];
  return [
    "UMask=0077",
    // A dump of the memory would hold keys.
    "LimitCORE=0",
    // The filter keeps the program from raising its own limit; a stream takes four descriptors.
    "LimitNOFILE=65536",
    "NoNewPrivileges=yes",
    ...(scope === "system" ? forSystem : []),
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources @keyring @memlock @aio",
    "SystemCallErrorNumber=EPERM",
    "# Not MemoryDenyWriteExecute: the JavaScript engine compiles to machine code.",
  ];
}
