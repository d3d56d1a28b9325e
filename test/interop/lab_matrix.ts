/** Which party may be whose, with which keys: every combination is a test of all modes. */
import assert from "node:assert/strict";
import { createServer, get } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { startConnect } from "../../src/client/connect.ts";
import { KEY_TYPES } from "../ssh/pair.ts";
import { requirement } from "../requirements.ts";
import { type Kind, type StartPlatform, startSystem, type System } from "./lab_system.ts";

const PAIRS: { relay: Kind; gateway: Kind }[] = [
  { relay: "ours", gateway: "lab" },
  { relay: "ours", gateway: "ours" },
  { relay: "lab", gateway: "ours" },
];
const WHOSE = { ours: "our", lab: "the lab's" };

/**
 * Declares the tests of one platform.
 * @param host a loopback address that these tests have to themselves
 */
export function testMatrix(name: string, platform: StartPlatform, host: string): void {
  for (const { relay, gateway } of PAIRS) {
    for (const keys of KEY_TYPES) {
      Deno.test({
        name: `${WHOSE[gateway]} gateway, ${WHOSE[relay]} relay, ${name}, ${keys} keys: every mode`,
        ...requirement("go"),
        async fn() {
          await using system = await startSystem({ platform, relay, gateway, keys, host });
          await everyMode(system);
          // The lab's gateway has no http mode.
          if (gateway === "ours") await httpMode(system, host);
        },
      });
    }
  }
}

async function everyMode({ bench }: System): Promise<void> {
  assert.match(await bench("ping"), /^ping "PONG\\n"$/m);
  assert.match(
    await bench("health"),
    /^health "{\\"status\\":\\"ok\\",\\"heartbeatTTL\\":180}\\n"$/m,
  );
  assert.match(await bench("up", "-mb", "4", "-conns", "4"), /^up conns=4 .* MB\/s$/m);
  assert.match(await bench("down", "-mb", "4", "-conns", "4"), /^down conns=4 .* MB\/s$/m);
  assert.match(await bench("setup", "-mb", "8", "-conns", "4"), /^setup n=8 at=4 errors=0 /m);
}

/** HTTP/1.1 through `sallyport connect --http`, two requests on one connection. */
async function httpMode({ platform }: System, host: string): Promise<void> {
  const requests: string[] = [];
  const target = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push(`${request.method} ${request.url} ${body}`);
    response.setHeader("x-target", "yes");
    response.end(`${body.length} bytes`);
  }).listen(0, host);
  await once(target, "listening");
  const { port } = target.address() as AddressInfo;
  const stop = new AbortController();
  const local = await startConnect({
    listen: { host: "127.0.0.1", port: 0 },
    grant: () => platform.grant(host, port),
    http: {},
  }, stop.signal);
  try {
    assert.deepEqual(await request(local.address.port, "/a"), [200, "yes", "0 bytes"]);
    assert.deepEqual(await request(local.address.port, "/b?c=d"), [200, "yes", "0 bytes"]);
    assert.deepEqual(requests, ["GET /a ", "GET /b?c=d "]);
  } finally {
    stop.abort();
    await local.finished;
    target.closeAllConnections();
    target.close();
    await once(target, "close");
  }
}

function request(port: number, path: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, agent: false }, async (response) => {
      let body = "";
      for await (const chunk of response) body += chunk;
      resolve([response.statusCode, response.headers["x-target"], body]);
    }).on("error", reject);
  });
}
