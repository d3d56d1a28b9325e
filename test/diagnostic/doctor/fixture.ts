/** A platform and a relay of ours, perhaps a gateway, and `sallyport doctor` run against them. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli } from "../../cli/run.ts";
import type { CheckId, CheckResult } from "../../../src/diagnostic/doctor/check.ts";
import { PlatformApi } from "../../../src/enroll/api.ts";
import { secretSource } from "../../../src/enroll/secret.ts";
import { httpFetch } from "../../../src/egress/http.ts";
import { startGateway } from "../../../src/link/gateway.ts";
import { initPlatform, PlatformAdmin, type Role } from "../../../src/platform/admin.ts";
import { type PlatformOptions, startPlatform } from "../../../src/platform/platform.ts";
import { type RunningRelay, startRelay } from "../../../src/relay/relay.ts";
import { freePort } from "../../lab_process.ts";
import { temporaryFolder } from "../../temporary.ts";

export const HOST = "127.0.47.1";
export const GATEWAY = "edge-1";

/** What one run of doctor gave. */
export interface Examination {
  status: number;
  /** Standard output and error. */
  text: string;
  of(id: CheckId): CheckResult;
  /** How each check ended, by its id. */
  statuses: Record<string, string>;
}

/** Runs doctor with `--json`. */
export async function examine(
  args: string[],
  { env = {}, signal = new AbortController().signal, gateway = GATEWAY }: {
    env?: Record<string, string>;
    signal?: AbortSignal;
    gateway?: string;
  } = {},
): Promise<Examination> {
  const { status, out, err } = await cli(["doctor", gateway, "--json", ...args], {
    env: { HOME: "/nonexistent", SALLYPORT_DOCTOR_TIMEOUT: "3s", ...env },
    signal,
  });
  const { checks } = JSON.parse(out || "{}") as { checks?: CheckResult[] };
  assert.ok(checks, err);
  return {
    status,
    text: out + err,
    of: (id) => checks.find((check) => check.id === id)!,
    statuses: Object.fromEntries(checks.map(({ id, status }) => [id, status])),
  };
}

/** Everything that a gateway needs. */
export interface Ground extends AsyncDisposable {
  url: string;
  relay: RunningRelay;
  /** An empty folder. */
  folder: string;
  /** Every secret that was made. */
  secrets: string[];
  admin: PlatformAdmin;
  /** `api-ca.pem`, if the platform speaks https. */
  caFile: string;
  /** A token of a new identity. */
  token(...roles: Role[]): string;
  /** The same in a file that is its owner's alone; gives its path. */
  tokenFile(...roles: Role[]): Promise<string>;
  /** Where to look at the platform, state and health of one gateway. */
  arguments: string[];
  /** Starts the gateway, with its health where `arguments` say. */
  startGateway(): Promise<AsyncDisposable>;
}

/** Starts platform and relay. */
export async function prepare(options: Partial<PlatformOptions> = {}): Promise<Ground> {
  const stack = new AsyncDisposableStack();
  try {
    const folder = stack.use(await temporaryFolder()).path;
    const dataDir = join(folder, "platform");
    await initPlatform({ dataDir, keyType: "ecdsa" });
    const stop = new AbortController();
    const running: Promise<unknown>[] = [];
    stack.defer(async () => {
      stop.abort();
      await Promise.allSettled(running);
    });
    const listen = { host: HOST, port: 0 };
    const { url, finished } = await startPlatform({ dataDir, listen, ...options }, stop.signal);
    running.push(finished);
    const admin = PlatformAdmin.open(dataDir);
    stack.defer(() => admin.close());
    const secrets: string[] = [];
    let count = 0;
    const token = (...roles: Role[]) => {
      const { id } = admin.createIdentity({ name: `identity-${count++}`, roles });
      const { token } = admin.createIdentityToken({ identity: id });
      secrets.push(token);
      return token;
    };
    const caFile = join(dataDir, "api-ca.pem");
    const fetch = await httpFetch(options.tlsHost === undefined ? undefined : caFile);
    const relayToken = token("relay");
    const relay = await startRelay({
      name: "r1",
      host: HOST,
      type: "org",
      api: new PlatformApi({ domain: url, token: () => relayToken, fetch }),
      sshListen: { host: HOST, port: 0 },
      tlsListen: { host: HOST, port: 0 },
    }, stop.signal);
    running.push(relay.finished);
    const healthListen = `${HOST}:${await freePort(HOST)}`;
    const stateDir = join(folder, "state");
    return {
      url,
      relay,
      folder,
      secrets,
      admin,
      caFile,
      token,
      tokenFile: async (...roles) => {
        const path = join(folder, `token-${count}`);
        await writeFile(path, `${token(...roles)}\n`, { mode: 0o600 });
        return path;
      },
      arguments: ["--domain", url, "--state-dir", stateDir, "--health-listen", healthListen],
      startGateway: async () => {
        const ends = new AbortController();
        const { state, finished } = await startGateway({
          name: GATEWAY,
          domain: url,
          auth: { method: "token", token: secretSource(gatewayToken(admin, secrets)) },
          relayName: "r1",
          stateDir,
          healthListen,
        }, ends.signal);
        await Promise.race([state.until(({ phase }) => phase === "up", ends.signal), finished]);
        return {
          async [Symbol.asyncDispose]() {
            ends.abort();
            await finished;
          },
        };
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A gateway belongs to the identity that registered it: all tests of one ground use this one. */
export function gatewayToken(admin: PlatformAdmin, secrets: string[]): string {
  const known = admin.identities().some(({ name }) => name === "gate");
  if (!known) admin.createIdentity({ name: "gate", roles: ["gateway", "client"] });
  const { token } = admin.createIdentityToken({ identity: "gate" });
  secrets.push(token);
  return token;
}
