/** A property list of macOS's launchd: a daemon of the machine or an agent of a user. */
import type { Places, Service, ServiceIdentity } from "./description.ts";
import { type Manager, serviceArguments } from "./manager.ts";
import { escapeXml } from "./xml.ts";

/** launchd, of the machine or of a user. */
export const launchd: Manager = {
  scopes: ["system", "user"],
  files: (service, places) => [
    { path: plistPath(service), mode: 0o644, text: plist(service, places) },
  ],
  commands(identity) {
    const domain = identity.scope === "system" ? "system" : `gui/${identity.uid}`;
    const target = `${domain}/${identity.id}`;
    const bootstrap = { run: ["launchctl", "bootstrap", domain, plistPath(identity)] as const };
    const bootout = { run: ["launchctl", "bootout", target] as const };
    return {
      install: [{ ...bootout, mayFail: true }, bootstrap],
      uninstall: [{ ...bootout, mayFail: true }],
      // KeepAlive would bring back what was only killed.
      start: [bootstrap],
      stop: [bootout],
      status: { run: ["launchctl", "print", target] },
    };
  },
};

function plistPath(identity: ServiceIdentity): string {
  const { scope, home } = identity;
  const folder = scope === "system" ? "/Library/LaunchDaemons" : `${home}/Library/LaunchAgents`;
  return `${folder}/${identity.id}.plist`;
}

function plist(service: Service, places: Places): string {
  const words = [service.binary, ...serviceArguments(service, places)];
  const { runAs, stopTimeout } = service;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    ...entry("Label", string(service.id)),
    ...entry(
      "ProgramArguments",
      "<array>",
      ...words.map((word) => `  ${string(word)}`),
      "</array>",
    ),
    ...entry("RunAtLoad", "<true/>"),
    ...entry("KeepAlive", "<true/>"),
    ...entry("ThrottleInterval", "<integer>10</integer>"),
    ...entry("ExitTimeOut", `<integer>${Math.ceil(stopTimeout / 1000)}</integer>`),
    ...entry("ProcessType", string("Background")),
    ...entry("Umask", "<integer>63</integer>"),
    // A dump of the memory would hold keys.
    ...["SoftResourceLimits", "HardResourceLimits"].flatMap((limits) =>
      entry(limits, "<dict><key>Core</key><integer>0</integer></dict>")
    ),
    ...(runAs === undefined ? [] : entry("UserName", string(runAs))),
    ...entry("StandardOutPath", string(places.log)),
    ...entry("StandardErrorPath", string(places.log)),
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}

function entry(key: string, ...value: string[]): string[] {
  return [`  <key>${key}</key>`, ...value.map((line) => `  ${line}`)];
}

function string(text: string): string {
  return `<string>${escapeXml(text)}</string>`;
}
