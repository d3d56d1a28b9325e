/** A whole platform of a test's own, reached through its real client. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PlatformApi } from "../../src/enroll/api.ts";
import { type ErrorCode, SallyportError } from "../../src/errors.ts";
import { initPlatform, type KeyType, PlatformAdmin, type Role } from "../../src/platform/admin.ts";
import { type PlatformOptions, startPlatform } from "../../src/platform/platform.ts";
import { temporaryFolder } from "../temporary.ts";

export interface FixtureOptions extends Partial<PlatformOptions> {
  keyType?: KeyType;
}

export class PlatformFixture {
  constructor(
    readonly dataDir: string,
    readonly relaySecret: string,
    readonly admin: PlatformAdmin,
    readonly url: string,
    readonly fetch: typeof globalThis.fetch | undefined,
    readonly dispose: () => Promise<void>,
  ) {}

  /** The client with a bearer token. */
  api(token?: string): PlatformApi {
    return new PlatformApi({
      domain: this.url,
      fetch: this.fetch,
      ...(token !== undefined && { token: () => token }),
    });
  }

  /** The client of a new identity. */
  as(name: string, roles: Role[], organisation?: string): PlatformApi {
    const { id } = this.admin.createIdentity({ name, roles, organisation });
    return this.api(this.admin.createIdentityToken({ identity: id }).token);
  }

  /** A bare call: status and body. */
  async call(method: string, path: string, init: RequestInit = {}) {
    const response = await fetch(`${this.url}${path}`, { method, ...init });
    return { response, status: response.status, body: JSON.parse(await response.text()) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

export async function platform(options: FixtureOptions = {}): Promise<PlatformFixture> {
  const folder = await temporaryFolder();
  const dataDir = join(folder.path, "data");
  const { relaySecret } = await initPlatform({ dataDir, keyType: options.keyType });
  const stop = new AbortController();
  const listen = { host: "127.0.70.1", port: 0 };
  const running = await startPlatform({ dataDir, listen, ...options }, stop.signal);
  const admin = PlatformAdmin.open(dataDir, options.now);
  const client = options.tlsHost === undefined ? undefined : Deno.createHttpClient({
    caCerts: [await readFile(join(dataDir, "api-ca.pem"), "utf8")],
  });
  const fetchWith = client &&
    ((url: string | URL | Request, init?: RequestInit) =>
      fetch(url, { ...init, client } as RequestInit));
  return new PlatformFixture(
    dataDir,
    relaySecret,
    admin,
    running.url,
    fetchWith as typeof globalThis.fetch | undefined,
    async () => {
      client?.close();
      admin.close();
      stop.abort();
      await running.finished;
      await folder[Symbol.asyncDispose]();
    },
  );
}

/** Asserts that a call is refused with that code, and that its message fits. */
export async function refused(
  work: () => unknown,
  code: ErrorCode,
  message: RegExp = /./,
): Promise<void> {
  await assert.rejects(async () => await work(), (error) => {
    assert.ok(error instanceof SallyportError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** A clock that is moved by hand. */
export class Clock {
  time = Date.now();
  readonly now = () => new Date(this.time);
}

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
