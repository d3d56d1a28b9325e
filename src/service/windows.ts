/**
 * A task of Windows' Task Scheduler: at startup, as LocalService (a limited account of the system),
 * restarted on failure and looked after every five minutes.
 */
import { win32 } from "node:path";
import type { Places, Service, ServiceIdentity } from "./description.ts";
import { type Manager, serviceArguments } from "./manager.ts";
import { escapeXml } from "./xml.ts";

/** LocalService, SYSTEM and Administrators by their numbers: their names differ by language. */
const LOCAL_SERVICE = "S-1-5-19";
const SYSTEM = "S-1-5-18";
const ADMINISTRATORS = "S-1-5-32-544";

/** Windows' Task Scheduler. */
export const windows: Manager = {
  scopes: ["system"],
  files: (service, places) => [
    {
      path: taskPath(service, places),
      mode: 0o644,
      text: `\ufeff${task(service, places)}`,
      // What schtasks itself exports, and reads without doubt.
      encoding: "utf16le",
    },
  ],
  commands(identity, places) {
    const name = identity.id;
    const schtasks = (...args: string[]) => ({ run: ["schtasks", ...args] as const });
    return {
      prepare: access(places),
      install: [
        schtasks("/Create", "/TN", name, "/XML", taskPath(identity, places), "/F"),
        { ...schtasks("/End", "/TN", name), mayFail: true },
        schtasks("/Run", "/TN", name),
      ],
      uninstall: [
        { ...schtasks("/End", "/TN", name), mayFail: true },
        { ...schtasks("/Delete", "/TN", name, "/F"), mayFail: true },
      ],
      start: [
        schtasks("/Change", "/TN", name, "/ENABLE"),
        schtasks("/Run", "/TN", name),
      ],
      // The trigger would bring back what was only ended.
      stop: [
        schtasks("/Change", "/TN", name, "/DISABLE"),
        schtasks("/End", "/TN", name),
      ],
      status: schtasks("/Query", "/TN", name, "/V", "/FO", "LIST"),
    };
  },
};

function taskPath({ id }: ServiceIdentity, { folder }: Places): string {
  return win32.join(folder, `${id}.xml`);
}

/** Windows has no modes: what others may not read is said by access lists, which files inherit. */
function access({ folder, state }: Places) {
  const icacls = (path: string, right: string) => ({
    run: [
      "icacls",
      path,
      "/inheritance:r",
      "/grant:r",
      `*${SYSTEM}:(OI)(CI)F`,
      `*${ADMINISTRATORS}:(OI)(CI)F`,
      `*${LOCAL_SERVICE}:(OI)(CI)${right}`,
    ] as const,
  });
  return [icacls(folder, "RX"), icacls(state, "M")];
}

function task(service: Service, places: Places): string {
  const words = [service.binary, ...serviceArguments(service, places)].map(quote).join(" ");
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>sallyport ${service.role} ${escapeXml(service.name)}</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Repetition>
        <Interval>PT5M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <Enabled>true</Enabled>
    </BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${LOCAL_SERVICE}</UserId>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%SystemRoot%\\System32\\cmd.exe</Command>
      <Arguments>/d /s /c "${escapeXml(`${words} >>${quote(places.log)} 2>&1`)}"</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}

function quote(word: string): string {
  return /^[\w.:\\/-]+$/.test(word) ? word : `"${word}"`;
}
