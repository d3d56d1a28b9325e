/** `sallyport connect` */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { argument, command } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { readAuth } from "../config/auth.ts";
import { connectSettings } from "../config/connect.ts";
import type { Values } from "../config/setting.ts";
import { httpFetch, readNamedFile } from "../egress/http.ts";
import { EXIT, SallyportError } from "../errors.ts";
import { formatAddress, parseListenAddress } from "../listen.ts";
import type { Action, CommandContext } from "./context.ts";
import { examples } from "./help.ts";
import { flagsOf, type GivenFlags, load, usageOf } from "./flags.ts";
import { keepOnly } from "./least_power.ts";

/** `sallyport connect …` */
export const connectCommand = command(
  "connect",
  map(
    object({
      gateway: argument(string({ metavar: "GATEWAY" }), {
        description: message`The gateway's name or id.`,
      }),
      target: argument(string({ metavar: "HOST:PORT" }), {
        description: message`The target, as the gateway reaches it.`,
      }),
      flags: flagsOf(connectSettings),
    }),
    ({ gateway, target, flags }): Action => (context) => connectTo(gateway, target, flags, context),
  ),
  {
    usageLine: usageOf("GATEWAY", "HOST:PORT"),
    brief: message`Open a local port that leads to a private target behind a gateway.`,
    footer: examples(
      "sallyport connect edge-1 db.internal:5432 --listen 127.0.0.1:5432 --token @token",
      "sallyport connect edge-1 https://app.internal --http --token @token",
    ),
  },
);

async function connectTo(
  gateway: string,
  targetText: string,
  flags: GivenFlags,
  context: CommandContext,
): Promise<number> {
  const loaded = load(connectSettings, flags, context);
  const { values } = loaded;
  const target = parseTarget(targetText, values.http ?? false);
  const listen = parseListenAddress(values.listen, "--listen");
  const http = await httpOptions(values);
  const { authorisedApi } = await import("../enroll/credentials.ts");
  const { startConnect } = await import("../client/connect.ts");
  const fetch = await httpFetch(values.caFile);
  keepOnly(flags, values, context);
  const api = authorisedApi(readAuth(loaded), {
    domain: values.domain,
    fetch,
    signal: context.signal,
  });
  const { address, finished } = await startConnect({
    listen,
    http,
    grant: (signal) =>
      api.openConnection({ gateway, targetHost: target.host, targetPort: target.port }, signal),
  }, context.signal);
  context.out(`${formatAddress(address)} leads to ${targetText} behind ${gateway}`);
  await finished;
  return EXIT.ok;
}

/** Reads `host:port` or `[v6]:port`; in HTTP mode http:// or https:// may stand before it. */
export function parseTarget(text: string, http: boolean): { host: string; port: number } {
  const match = /^(https?:\/\/)?(\[[0-9a-fA-F:.]+\]|[^\s:/@?#[\]]+)(?::(\d{1,5}))?\/?$/.exec(text);
  const scheme = match?.[1];
  const port = Number(match?.[3] ?? (scheme && (scheme === "https://" ? 443 : 80)));
  if (!match || !(port >= 1 && port <= 65535) || (scheme !== undefined && !http)) {
    throw new SallyportError("usage", `"${text}" is not a target`, {
      hint: scheme !== undefined && !http
        ? "a URL needs --http; without it write host:port"
        : "write host:port, [v6]:port, or with --http also https://host:port",
    });
  }
  return { host: (scheme ?? "") + match[2], port };
}

async function httpOptions({ http, targetCa, targetInsecure }: Values<typeof connectSettings>) {
  if (!http) {
    if (targetCa === undefined && !targetInsecure) return undefined;
    throw new SallyportError("usage", "--target-ca and --target-insecure need --http");
  }
  return {
    ...(targetInsecure && { verify: false }),
    ...(targetCa !== undefined && { ca: await readNamedFile(targetCa, "--target-ca") }),
  };
}
