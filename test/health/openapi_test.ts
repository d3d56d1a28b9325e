import assert from "node:assert/strict";
import { SallyportError } from "../../src/errors.ts";
import { healthApp } from "../../src/health/app.ts";
import { History } from "../../src/health/history.ts";
import { historySchema, statusSchema } from "../../src/health/schema.ts";
import { LinkState } from "../../src/link/state.ts";

interface Document {
  openapi: string;
  paths: Record<string, {
    get: { responses: Record<string, { content: Record<string, { schema: unknown }> }> };
  }>;
}

/** The keys of every answer are those of the description, required ones included. */
function keysFit(schema: unknown, value: unknown, at: string): void {
  const { properties, required = [], items } = schema as {
    properties?: Record<string, unknown>;
    required?: string[];
    items?: unknown;
  };
  if (Array.isArray(value)) { for (const item of value) keysFit(items, item, `${at}[]`); }
  if (!properties) return;
  const object = value as Record<string, unknown>;
  for (const key of required) assert.ok(key in object, `${at}.${key} is missing`);
  for (const [key, inner] of Object.entries(object)) {
    assert.ok(properties[key], `${at}.${key} is not described`);
    keysFit(properties[key], inner, `${at}.${key}`);
  }
}

Deno.test("every endpoint that is described answers as described, up and down", async () => {
  const state = new LinkState("edge");
  const history = new History(state);
  const app = healthApp({ state, history, address: { host: "127.0.0.1", port: 8222 } });
  const description = await app.request("/openapi.json");
  const { openapi, paths } = await description.json() as Document;
  assert.equal(openapi, "3.1.0");
  const routes = app.routes.filter(({ method }) => method === "GET").map(({ path }) => path);
  assert.deepEqual(Object.keys(paths).sort(), routes.sort());
  for (const phase of ["starting", "up", "down"] as const) {
    if (phase === "down") {
      state.fault(new SallyportError("ssh-closed", "gone", { hint: "wait" }), phase);
    } else state.update({ phase, relay: { name: "r", address: "r:1" } });
    for (const [path, { get }] of Object.entries(paths)) {
      const response = await app.request(path);
      const answer = get.responses[response.status];
      assert.ok(answer, `${path} answers ${response.status}`);
      const [[type, { schema }]] = Object.entries(answer.content) as [
        [string, { schema: unknown }],
      ];
      assert.ok(response.headers.get("content-type")?.startsWith(type), `${path} in ${phase}`);
      const body = await response.text();
      if (type === "application/json" && path !== "/openapi.json") {
        keysFit(schema, JSON.parse(body), path);
      }
      if (path === "/status") statusSchema.strict().parse(JSON.parse(body));
      if (path === "/history") historySchema.strict().parse(JSON.parse(body));
    }
  }
  for (
    const [status, init] of [[405, { method: "POST" }], [421, {
      headers: { host: "x.y" },
    }]] as const
  ) {
    assert.equal((await app.request("/status", init)).status, status);
    assert.ok(paths["/status"]!.get.responses[status]);
  }
  history.close();
});
