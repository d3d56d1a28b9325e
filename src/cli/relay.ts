/** `sallyport relay start` */
import { or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { command } from "@optique/core/primitives";
import { readEnrolment, secretOf } from "../config/auth.ts";
import { stateDirectory } from "../config/directories.ts";
import type { Loaded } from "../config/load.ts";
import { relaySettings } from "../config/relay.ts";
import type { Auth } from "../enroll/credentials.ts";
import { httpFetch } from "../egress/http.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { parseListenAddress } from "../listen.ts";
import type { Action, CommandContext } from "./context.ts";
import { COMMAND_USAGE, examples } from "./help.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { keepOnly } from "./least_power.ts";

/** `sallyport relay …` */
export const relayCommand = command(
  "relay",
  or(command(
    "start",
    map(flagsOf(relaySettings), (flags): Action => (context) => startCommand(flags, context)),
    {
      usageLine: usageOf(),
      brief: message`Run a relay: gateways dial in by SSH, the platform's clients by TLS.`,
      footer: examples(
        "sallyport relay start --name r1 --host relay.example --token @/etc/sallyport/token",
      ),
    },
  )),
  {
    usageLine: COMMAND_USAGE,
    brief: message`The proxy server in the middle; it routes what it cannot read.`,
  },
);

async function startCommand(flags: GivenFlags, context: CommandContext): Promise<number> {
  const loaded = load(relaySettings, flags, context);
  const { values } = loaded;
  const name = demand(values.name, "--name");
  const host = demand(values.host, "--host");
  const auth = relayAuth(loaded);
  const { authorisedApi } = await import("../enroll/credentials.ts");
  const { enrolledRelay } = await import("../enroll/enrolled_relay.ts");
  const { StateFile } = await import("../enroll/state.ts");
  const { startRelay } = await import("../relay/relay.ts");
  const stateDir = values.stateDir ?? stateDirectory({ env: context.env });
  const fetch = await httpFetch(values.caFile);
  keepOnly(flags, values, context, { write: [stateDir] });
  const api = authorisedApi(auth, {
    domain: values.domain,
    state: new StateFile(stateDir, name, "relay"),
    fetch,
    signal: context.signal,
  });
  const { finished } = await startRelay({
    name,
    host,
    type: values.type,
    api: auth.method === "enroll-token" ? enrolledRelay(api) : api,
    sshListen: parseListenAddress(values.sshListen, "--ssh-listen"),
    tlsListen: parseListenAddress(values.tlsListen, "--tls-listen"),
    limits: {
      maxUnauthenticated: values.maxUnauthenticated,
      maxUnauthenticatedPerAddress: values.maxUnauthenticatedPerAddress,
    },
    drainTimeout: values.drainTimeout,
  }, context.signal);
  await finished;
  return EXIT.ok;
}

/** An instance relay is authorised by the instance's secret, which is sent as its token. */
function relayAuth(loaded: Loaded<typeof relaySettings>): Auth {
  const { values: { type, relaySecret }, from } = loaded;
  if (type === "instance" && relaySecret !== undefined) {
    return { method: "token", token: secretOf(relaySecret, from.relaySecret) };
  }
  return readEnrolment(loaded);
}

function demand(value: string | undefined, flag: string): string {
  if (value !== undefined) return value;
  throw new SallyportError("usage", `the relay needs ${flag}`, {
    hint: "sallyport relay start --name <name> --host <name or address>",
  });
}
