/** `sallyport doctor` */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import process from "node:process";
import { readEnrolment, secretOf } from "../config/auth.ts";
import { stateDirectory } from "../config/directories.ts";
import { doctorSettings } from "../config/doctor.ts";
import type { Loaded } from "../config/load.ts";
import type { DoctorOptions } from "../diagnostic/doctor/context.ts";
import type { Style } from "../diagnostic/doctor/report.ts";
import { apiBase } from "../enroll/call.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { redact } from "../log.ts";
import type { Action, CommandContext } from "./context.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";

/** `sallyport doctor` */
export const doctorCommand = command(
  "doctor",
  map(
    object({
      name: optional(argument(string({ metavar: "NAME" }), {
        description: message`The gateway's name on the platform.`,
      })),
      flags: flagsOf(doctorSettings),
    }),
    ({ name, flags }): Action => (context) => doctor(name, flags, context),
  ),
  {
    usageLine: usageOf("NAME"),
    brief: message`Check, step by step, everything that a gateway needs, and say what to do.`,
    footer:
      message`Takes the flags, variables and file of "gateway start"; where its service is installed, that one's settings. Status 0 if nothing failed, else 1. Example: sallyport doctor edge-1 --domain https://app.infisical.com --token @/etc/sallyport/token`,
  },
);

async function doctor(
  argument: string | undefined,
  given: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const { systemRunner } = await import("../service/runner.ts");
  const { asTheService, servicesOf } = await import("./doctor_service.ts");
  const { out, signal } = context;
  const host = { run: systemRunner(signal) };
  const named = argument ?? given.name ?? context.env.INFISICAL_GATEWAY_NAME ?? "";
  const { flags, env, service } = await asTheService(servicesOf(named, context), host, {
    flags: given,
    env: context.env,
  });
  const loaded = load(doctorSettings, flags, { ...context, env }, { openFile: true });
  const { values } = loaded;
  const name = argument ?? values.name;
  if (name === undefined || name.trim() === "") {
    throw new SallyportError("usage", "the gateway needs a name", {
      hint: "sallyport doctor <name>",
    });
  }
  const { diagnose } = await import("../diagnostic/doctor/run.ts");
  const report = await import("../diagnostic/doctor/report.ts");
  const subject = {
    gateway: name,
    domain: apiBase(values.domain).replace(/\/api$/, ""),
    config: flags.config ?? (env.SALLYPORT_CONFIG || undefined),
    service: service?.identity.id,
  };
  const style = styleOf(context);
  const json = values.json ?? false;
  if (!json) out(redact(report.headingText(subject)));
  const options = {
    ...optionsOf(name, loaded, context),
    configFile: subject.config,
    env,
    services: servicesOf(name, context),
    host,
  };
  const results = await diagnose(options, {
    signal,
    ...(!json && { onResult: (result) => out(report.resultText(result, style)) }),
  });
  out(json ? report.reportJson(results, subject) : report.summaryText(results));
  return signal.aborted ? EXIT.interrupted : report.exitStatus(results);
}

function optionsOf(
  name: string,
  loaded: Loaded<typeof doctorSettings>,
  context: CommandContext,
): Omit<DoctorOptions, "configFile" | "env" | "services" | "host"> {
  const { values, from } = loaded;
  return {
    name,
    domain: values.domain,
    auth: once(() => readEnrolment(loaded)),
    caFile: values.caFile,
    relayName: values.relay,
    relayAddress: values.relayAddress,
    stateDir: values.stateDir ?? stateDirectory({ env: context.env }),
    healthListen: values.healthListen,
    secretInConfig: (["token", "clientSecret", "clientToken"] as const).some((key) =>
      from[key]?.startsWith('"') && !/^(@|-$)/.test(values[key] ?? "")
    ),
    login: values.login,
    clientToken: values.clientToken === undefined
      ? undefined
      : secretOf(values.clientToken, from.clientToken),
    timeout: values.timeout,
  };
}

/** A secret that comes from standard input can be read once. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Colours and symbols only where they are shown as such (https://no-color.org, locale(7)). */
function styleOf({ env, terminal }: CommandContext): Style {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  return {
    colour: terminal?.colours ?? false,
    symbols: process.platform === "win32"
      ? Boolean(env.WT_SESSION)
      : process.platform === "darwin" || /utf-?8/i.test(locale),
  };
}
