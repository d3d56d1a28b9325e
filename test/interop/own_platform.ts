/** Our own platform as a part of the matrix. */
import { join } from "node:path";
import { PlatformApi } from "../../src/enroll/api.ts";
import { initPlatform, PlatformAdmin } from "../../src/platform/admin.ts";
import { startPlatform } from "../../src/platform/platform.ts";
import { temporaryFolder } from "../temporary.ts";
import { GATEWAY, type StartPlatform } from "./lab_system.ts";

/** Our platform, in this process. */
export const ownPlatform: StartPlatform = async (keyType, host) => {
  const stack = new AsyncDisposableStack();
  try {
    const dataDir = join(stack.use(await temporaryFolder()).path, "data");
    await initPlatform({ dataDir, keyType });
    const stop = new AbortController();
    const { url, finished } = await startPlatform(
      { dataDir, listen: { host, port: 0 } },
      stop.signal,
    );
    stack.defer(async () => {
      stop.abort();
      await finished;
    });
    const admin = PlatformAdmin.open(dataDir);
    stack.defer(() => admin.close());
    const { id } = admin.createIdentity({ name: "all", roles: ["gateway", "relay", "client"] });
    const { token } = admin.createIdentityToken({ identity: id });
    const api = new PlatformApi({ domain: url, token: () => token });
    return {
      url,
      token,
      grant: (targetHost, targetPort) =>
        api.openConnection({ gateway: GATEWAY, targetHost, targetPort }),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
};
