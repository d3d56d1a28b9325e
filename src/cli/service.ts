/** `sallyport service …` */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import process from "node:process";
import {
  serviceIdentitySettings,
  serviceInstallSettings,
  servicePlanSettings,
  serviceUninstallSettings,
} from "../config/service.ts";
import type { Settings } from "../config/setting.ts";
import { EXIT, SallyportError } from "../errors.ts";
import type { Service, ServiceIdentity } from "../service/description.ts";
import type { Host } from "../service/install.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { describe, ownFlags, whoAsks } from "./service_description.ts";

type Run = (name: string, flags: GivenFlags, context: CommandContext) => Promise<number>;

function leaf(verb: string, settings: Settings, brief: string, run: Run, example?: string) {
  return command(
    verb,
    map(
      object({
        name: argument(string({ metavar: "NAME" }), {
          description: message`The gateway's name, or with --role relay the relay's.`,
        }),
        flags: flagsOf(settings),
      }),
      ({ name, flags }): Action => (context) => run(name, flags, context),
    ),
    {
      usageLine: usageOf("NAME"),
      brief: [{ type: "text", text: brief }],
      ...(example && { footer: [{ type: "text", text: `Example: ${example}` }] }),
    },
  );
}

/** `sallyport service …` */
export const serviceCommand = command(
  "service",
  or(
    leaf(
      "install",
      servicePlanSettings,
      "Install a gateway or relay as a service, start it, and start it at every boot.",
      install,
      "sudo sallyport service install edge-1 --domain https://app.infisical.com --token @token",
    ),
    leaf(
      "uninstall",
      serviceUninstallSettings,
      "Stop a service and remove everything of it.",
      uninstall,
      "sudo sallyport service uninstall edge-1",
    ),
    leaf("start", serviceIdentitySettings, "Start an installed service.", drive("start")),
    leaf("stop", serviceIdentitySettings, "Stop an installed service.", drive("stop")),
    leaf(
      "status",
      serviceIdentitySettings,
      "What the service manager says; status 0 if it runs, else 1.",
      status,
    ),
    leaf(
      "print",
      servicePlanSettings,
      "Show what install would write and run, for any manager; touches nothing.",
      print,
      "sallyport service print edge-1 --manager launchd",
    ),
  ),
  {
    usageLine: [{ type: "ellipsis" }],
    brief: message`Run at boot: systemd, launchd, cron, Windows or OpenRC.`,
  },
);

async function install(name: string, flags: GivenFlags, context: CommandContext): Promise<number> {
  const { detectManager, loadsCredentials } = await import("../service/detect.ts");
  const { installService } = await import("../service/install.ts");
  const { planService } = await import("../service/plan.ts");
  const own = load(serviceInstallSettings, ownFlags(flags), context).values;
  const manager = own.manager ?? detectManager({ env: context.env });
  const host = await hostOf(context);
  let { credentials } = own;
  if (manager === "systemd" && !own.user && credentials === undefined) {
    const { out } = await host.run(["systemctl", "--version"]);
    credentials = loadsCredentials(out) ? "load" : "environment";
  }
  const described = await describe(name, flags, context, { manager, credentials, real: true });
  demandRoot(described);
  const plan = planService(described);
  await installService(plan, host);
  context.out(`${plan.identity.id} is installed with ${manager} and started`);
  for (const remark of remarks(described)) context.err(remark);
  return EXIT.ok;
}

async function print(name: string, flags: GivenFlags, context: CommandContext): Promise<number> {
  const { detectManager } = await import("../service/detect.ts");
  const { planService } = await import("../service/plan.ts");
  const { printPlan } = await import("../service/print.ts");
  const own = load(serviceInstallSettings, ownFlags(flags), context).values;
  const manager = own.manager ?? detectManager({ env: context.env });
  const described = await describe(name, flags, context, { ...own, manager, real: false });
  context.out(printPlan(planService(described)));
  return EXIT.ok;
}

async function uninstall(
  name: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { uninstallService } = await import("../service/install.ts");
  const { keepState } = load(serviceUninstallSettings, flags, context).values;
  const host = await hostOf(context);
  const identity = await installed(name, flags, context, host);
  await uninstallService(identity, host, { keepState });
  context.out(`${identity.id} is uninstalled`);
  return EXIT.ok;
}

function drive(verb: "start" | "stop"): Run {
  return async (name, flags, context) => {
    const { driveService } = await import("../service/install.ts");
    load(serviceIdentitySettings, flags, context);
    const host = await hostOf(context);
    const identity = await installed(name, flags, context, host);
    await driveService(identity, verb, host);
    context.out(`${identity.id} is ${verb === "start" ? "started" : "stopped"}`);
    return EXIT.ok;
  };
}

async function status(name: string, flags: GivenFlags, context: CommandContext): Promise<number> {
  const { queryService } = await import("../service/install.ts");
  load(serviceIdentitySettings, flags, context);
  const host = await hostOf(context);
  const identity = await installed(name, flags, context, host, { root: false });
  const { running, text } = await queryService(identity, host);
  context.out(text);
  return running ? EXIT.ok : EXIT.failure;
}

async function hostOf({ signal }: CommandContext): Promise<Host> {
  const { systemRunner } = await import("../service/runner.ts");
  return { run: systemRunner(signal) };
}

/** The service as its manifest describes it. */
async function installed(
  name: string,
  { user, role }: GivenFlags,
  context: CommandContext,
  host: Host,
  { root = true }: { root?: boolean } = {},
): Promise<ServiceIdentity> {
  const { serviceId } = await import("../service/description.ts");
  const { manifestOf } = await import("../service/install.ts");
  // All managers of one system keep their manifests in one place.
  const manager = process.platform === "darwin"
    ? "launchd"
    : process.platform === "win32"
    ? "windows"
    : "systemd";
  const asked: ServiceIdentity = {
    id: serviceId(role === "relay" ? "relay" : "gateway", name),
    manager,
    scope: user ? "user" : "system",
    ...whoAsks(context),
  };
  if (root) demandRoot(asked);
  const manifest = await manifestOf(asked, host);
  return manifest ? { ...asked, manager: manifest.manager, runAs: manifest.runAs } : asked;
}

function demandRoot({ scope, uid, manager }: ServiceIdentity): void {
  if (scope === "user" || uid === 0 || manager === "windows") return;
  throw new SallyportError("service", "only root may change a service of the machine", {
    hint: "run it with sudo, or with --user for a service of this user",
  });
}

function remarks({ id, name, manager, scope, role, runAs }: Service): string[] {
  const user = scope === "user" ? " --user" : "";
  return [
    `  see: sallyport service status ${name}${user}${role === "relay" ? " --role relay" : ""}`,
    ...(manager === "systemd"
      ? [`  its log: journalctl${user} --unit ${id}`, ...lingering(scope)]
      : []),
    ...(scope === "system" && runAs === undefined && manager !== "systemd" && manager !== "windows"
      ? ["  it runs as root; --run-as ACCOUNT makes that a limited account"]
      : []),
  ];
}

function lingering(scope: Service["scope"]): string[] {
  return scope === "user" ? ["  to run it without a login: loginctl enable-linger"] : [];
}
