/** The Kubernetes actions: for the platform alone, and the header that asks for them never goes on. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { temporaryFolder } from "../temporary.ts";
import { certificate } from "./certificates.ts";
import { get, httpStream, httpTarget, post } from "./http_wire.ts";
import { HOST, route } from "./streams.ts";

const authority = await certificate("cluster", { authority: true });
const identity = await certificate("api", { issuer: authority, hosts: [HOST] });

const mirror: RequestListener = (request, response) => {
  request.resume();
  request.on("end", () => response.end(JSON.stringify(request.headers)));
};

const routeOf = (type: string, port: number) => route("http", { host: HOST, port }, { type });

async function pod(apiPort: number) {
  const folder = await temporaryFolder();
  const tokenPath = join(folder.path, "token");
  const caPath = join(folder.path, "ca.crt");
  await writeFile(tokenPath, "the-pods-token\n");
  await writeFile(caPath, authority.certificate);
  return {
    kubernetes: { tokenPath, caPath, apiHost: HOST, apiPort },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const INJECT = "x-infisical-action: inject-k8s-sa-auth-token";
const USE = "X-Infisical-Action: use-k8s-sa";

Deno.test("for the platform the pod's token replaces Authorization, and the header stays here", async () => {
  await using target = await httpTarget(mirror);
  await using there = await pod(1);
  await using http = await httpStream(routeOf("platform", target.port), there);
  await http.client.send(get("/", INJECT, "Authorization: Bearer mine"));
  const headers = JSON.parse((await http.client.answer()).body.toString());
  assert.equal(headers.authorization, "Bearer the-pods-token");
  assert.equal(headers["x-infisical-action"], undefined);
  await http.finish();
});

Deno.test("use-k8s-sa sends the request to the cluster's API, verified by the pod's authority", async () => {
  await using target = await httpTarget(() => assert.fail("the target was asked"));
  await using api = await httpTarget(mirror, { identity });
  await using there = await pod(api.port);
  await using http = await httpStream(routeOf("platform", target.port), there);
  await http.client.send(get("/api/v1/pods", USE));
  const headers = JSON.parse((await http.client.answer()).body.toString());
  assert.equal(headers.authorization, "Bearer the-pods-token");
  assert.equal(headers.host, `${HOST}:${api.port}`);
  assert.equal(headers["x-infisical-action"], undefined);
  await http.finish();
});

for (const [type, line] of [["user", INJECT], ["user", USE], ["unknown", USE]] as const) {
  Deno.test(`a ${type}'s "${line}" is refused, and the stream stays in step`, async () => {
    await using target = await httpTarget(mirror);
    await using there = await pod(target.port);
    await using http = await httpStream(routeOf(type, target.port), there);
    await http.client.send(post("/", "a body", line));
    const refused = await http.client.answer();
    assert.equal(refused.status, 500);
    assert.match(refused.message(), /^gateway: x-infisical-action is for the platform alone/);
    await http.client.send(get("/after"));
    assert.equal((await http.client.answer()).status, 200);
    assert.equal(target.connections, 1, "only the second request reached it");
    await http.finish();
  });
}

Deno.test("an action that nobody knows, and a pod without a token, are said so", async () => {
  await using target = await httpTarget(mirror);
  await using there = await pod(1);
  await using http = await httpStream(routeOf("platform", target.port), {
    kubernetes: { ...there.kubernetes, tokenPath: join("/no", "such", "token") },
  });
  await http.client.send(get("/", "x-infisical-action: reboot"));
  assert.match((await http.client.answer()).message(), /must be one of inject-k8s-sa-auth-token/);
  await http.client.send(get("/", INJECT));
  assert.match((await http.client.answer()).message(), /failed to read k8s sa auth token/);
  await http.finish();
});
