/**
 * A whole system over loopback: a platform, a relay and a gateway, each the lab's or ours, and the
 * lab's client. A platform is a function, so that another one joins the matrix with a dozen lines.
 */
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { ConnectionGrant } from "../../src/client/stream.ts";
import { PlatformApi } from "../../src/enroll/api.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { startGateway } from "../../src/link/gateway.ts";
import { startRelay } from "../../src/relay/relay.ts";
import { freePort, listening, runLab, startLab } from "../lab_process.ts";
import type { KeyType } from "../ssh/pair.ts";
import { temporaryFolder } from "../temporary.ts";

export const GATEWAY = "edge";
export const RELAY = "r1";

/** Whose program plays a part. */
export type Kind = "ours" | "lab";

/** A platform that is running. */
export interface TestPlatform extends AsyncDisposable {
  url: string;
  /** Machine identity's token, good for gateways and relays. */
  token: string;
  /** What the platform's client needs for one target behind the gateway. */
  grant(targetHost: string, targetPort: number): Promise<ConnectionGrant>;
}

/** Starts a platform that issues keys of one type; `host` is a loopback address to itself. */
export type StartPlatform = (keys: KeyType, host: string) => Promise<TestPlatform>;

export interface SystemOptions {
  platform: StartPlatform;
  relay: Kind;
  gateway: Kind;
  keys: KeyType;
  /** A loopback address of its own: its ports 2222 and 8443 are the relay's. */
  host: string;
}

export interface System extends AsyncDisposable {
  platform: TestPlatform;
  /** Runs the lab's client against the lab's target and gives what it printed. */
  bench(mode: string, ...more: string[]): Promise<string>;
}

/** A relay's process, or ours in this one. */
export async function startTestRelay(
  kind: Kind,
  { url, token }: Pick<TestPlatform, "url" | "token">,
  host: string,
): Promise<AsyncDisposable> {
  if (kind === "lab") {
    const args = ["relay", "-api", url, "-token", token, "-relay-name", RELAY, "-host", host];
    args.push("-ssh", `${host}:2222`, "-tls", `${host}:8443`);
    return await startLab(args, /relay r1: ssh/);
  }
  const stop = new AbortController();
  const { finished } = await startRelay({
    name: RELAY,
    host,
    type: "org",
    api: new PlatformApi({ domain: url, token: () => token }),
    sshListen: { host, port: 2222 },
    tlsListen: { host, port: 8443 },
  }, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

/** A gateway's process, or ours in this one; connected. */
export async function startTestGateway(
  kind: Kind,
  { url, token }: Pick<TestPlatform, "url" | "token">,
): Promise<AsyncDisposable> {
  if (kind === "lab") {
    const args = ["gateway", "-api", url, "-token", token, "-name", GATEWAY, "-relay-name", RELAY];
    return await startLab(args, /gateway edge connected/);
  }
  const folder = await temporaryFolder();
  const stop = new AbortController();
  const { state, finished } = await startGateway({
    name: GATEWAY,
    domain: url,
    auth: { method: "token", token: secretSource(token) },
    relayName: RELAY,
    stateDir: folder.path,
    healthListen: "off",
  }, stop.signal);
  const end = async () => {
    stop.abort();
    await finished.catch(() => {});
    await folder[Symbol.asyncDispose]();
  };
  const up = state.until(({ phase }) => phase === "up", stop.signal);
  up.catch(() => {});
  await Promise.race([up, finished]).catch(async (error) => {
    await end();
    throw error;
  });
  return { [Symbol.asyncDispose]: end };
}

/** Everything, connected and ready. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { host, keys } = options;
  const stack = new AsyncDisposableStack();
  try {
    const platform = stack.use(await options.platform(keys, host));
    const targetPort = await freePort(host);
    const target = `${host}:${targetPort}`;
    stack.use(await startLab(["target", "-addr", target], () => listening(host, targetPort)));
    const clientApi = stack.use(await serveGrants(platform, host));
    stack.use(await startTestRelay(options.relay, platform, host));
    stack.use(await startTestGateway(options.gateway, platform));
    return {
      platform,
      bench: (mode, ...more) =>
        runLab([
          ...["bench", "-api", clientApi.url, "-relay", `${host}:8443`, "-name", GATEWAY],
          ...["-port", String(targetPort), "-mode", mode, ...more],
        ]),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** The lab's platform. */
export const labPlatform: StartPlatform = async (keys, host) => {
  const url = `http://${host}:${await freePort(host)}`;
  const lab = await startLab(
    ["platform", "-addr", new URL(url).host, "-alg", keys],
    () => listening(host, Number(new URL(url).port)),
  );
  return {
    url,
    token: "tok",
    grant: (targetHost, targetPort) => labGrant(url, host, { targetHost, targetPort }),
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
};

/** A grant by the lab's platform; `actor` is who asks. */
export async function labGrant(
  url: string,
  relayHost: string,
  { targetHost, targetPort, actor = "platform", gateway = GATEWAY }: {
    targetHost: string;
    targetPort: number;
    actor?: string;
    gateway?: string;
  },
): Promise<ConnectionGrant> {
  const query = new URLSearchParams({
    name: gateway,
    host: targetHost,
    port: String(targetPort),
    actor,
  });
  const files = await (await fetch(`${url}/lab/client?${query}`)).json() as Record<string, string>;
  return {
    gatewayId: files.gatewayId!,
    relay: {
      host: relayHost,
      tlsPort: 8443,
      clientCertificate: files.relayClientCert!,
      clientPrivateKey: files.relayClientKey!,
      serverCertificateChain: files.relayServerCA!,
    },
    gateway: {
      clientCertificate: files.gatewayClientCert!,
      clientPrivateKey: files.gatewayClientKey!,
      serverCertificateChain: files.gatewayServerCA!,
    },
  };
}

/** `GET /lab/client`, where the lab's client takes its certificates, for any platform. */
async function serveGrants(
  platform: TestPlatform,
  targetHost: string,
): Promise<AsyncDisposable & { url: string }> {
  const server = createServer(async (request, response) => {
    const { searchParams } = new URL(request.url ?? "", "http://lab");
    const port = Number(searchParams.get("port"));
    const { gatewayId, relay, gateway } = await platform.grant(targetHost, port);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({
      gatewayId,
      relayClientCert: relay.clientCertificate,
      relayClientKey: relay.clientPrivateKey,
      relayServerCA: relay.serverCertificateChain,
      gatewayClientCert: gateway.clientCertificate,
      gatewayClientKey: gateway.clientPrivateKey,
      gatewayServerCA: gateway.serverCertificateChain,
    }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
