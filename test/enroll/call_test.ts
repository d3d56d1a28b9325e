import assert from "node:assert/strict";
import { apiBase, callApi, readRetryAfter } from "../../src/enroll/call.ts";
import { SallyportError } from "../../src/errors.ts";
import { fakeServer, json } from "../fake_server.ts";

async function failure(promise: Promise<unknown>): Promise<SallyportError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof SallyportError, `not a SallyportError: ${error}`);
  return error;
}

const get = (domain: string, more: object = {}) =>
  callApi({ domain, method: "GET", path: "/v1/relays", ...more });

Deno.test("a domain may be given with or without scheme, /api and a trailing slash", () => {
  const forms = ["eu.infisical.com", "https://eu.infisical.com", "https://eu.infisical.com/"];
  for (
    const form of [
      ...forms,
      ...forms.map((f) => f.replace(/\/?$/, "/api")),
      "eu.infisical.com/api/",
    ]
  ) {
    assert.equal(apiBase(form), "https://eu.infisical.com/api", form);
  }
  assert.equal(apiBase(), "https://app.infisical.com/api");
  assert.equal(apiBase("http://10.0.0.1:8080"), "http://10.0.0.1:8080/api");
  assert.equal(apiBase("https://example.com/infisical/"), "https://example.com/infisical/api");
});

Deno.test("a domain that is no web address is refused as wrong usage", () => {
  for (const bad of ["ftp://x", "https://u:p@x", "https://x?y", "https://x#y", "http://", "a b"]) {
    assert.throws(() => apiBase(bad), { code: "usage" }, bad);
  }
});

Deno.test("an answer is parsed, and an empty one is undefined", async () => {
  await using server = fakeServer((_, i) => i === 0 ? json({ a: 1 }) : new Response(null));
  assert.deepEqual(await get(server.url), { a: 1 });
  assert.equal(await get(server.url), undefined);
});

Deno.test("token and body are sent, and the path is under /api", async () => {
  await using server = fakeServer(() => json({}));
  await callApi({ domain: server.url, method: "POST", path: "/v2/x", body: { n: 1 }, token: "t" });
  assert.deepEqual(server.requests, [
    { method: "POST", path: "/api/v2/x", authorization: "Bearer t", body: { n: 1 } },
  ]);
});

Deno.test("each status is its own error, with the server's words on one line", async () => {
  const table: [number, string, boolean][] = [
    [400, "api-rejected", false],
    [401, "credentials-refused", false],
    [403, "credentials-refused", false],
    [404, "api-not-found", false],
    [409, "api-rejected", false],
    [422, "api-rejected", false],
    [429, "api-rate-limited", true],
    [500, "api-status", true],
    [503, "api-status", true],
  ];
  for (const [status, code, retryable] of table) {
    await using server = fakeServer(() => json({ message: "because\nof me", error: "E" }, status));
    const error = await failure(get(server.url));
    assert.equal(error.code, code);
    assert.equal(error.retryable, retryable);
    assert.match(
      error.message,
      new RegExp(`GET http://.*/api/v1/relays: ${status}, because of me$`),
    );
  }
});

Deno.test("refused credentials say what to do", async () => {
  await using server = fakeServer((_, i) => new Response("no", { status: i === 0 ? 401 : 403 }));
  assert.match((await failure(get(server.url))).hint!, /expired or revoked/);
  assert.match((await failure(get(server.url))).hint!, /role/);
});

Deno.test("Retry-After is understood as seconds and as a date", async () => {
  const now = Date.UTC(2030, 0, 1);
  assert.equal(readRetryAfter("7", now), 7000);
  assert.equal(readRetryAfter("Tue, 01 Jan 2030 00:00:30 GMT", now), 30_000);
  assert.equal(readRetryAfter("Mon, 31 Dec 2029 00:00:00 GMT", now), 0);
  assert.equal(readRetryAfter("soon", now), undefined);
  assert.equal(readRetryAfter(null, now), undefined);
  await using server = fakeServer(() => json({}, 429, { "retry-after": "9" }));
  assert.equal((await failure(get(server.url))).retryAfter, 9000);
});

Deno.test("a redirect is not followed, so that the token stays where it was sent", async () => {
  await using other = fakeServer(() => json({}));
  await using server = fakeServer(() => Response.redirect(`${other.url}/api/v1/relays`, 302));
  const error = await failure(get(server.url, { token: "t" }));
  assert.equal(error.code, "api-status");
  assert.equal(error.retryable, false);
  assert.match(error.message, /redirected to http/);
  assert.equal(other.requests.length, 0);
});

Deno.test("an answer that is not JSON is malformed, and nothing of it is quoted", async () => {
  await using server = fakeServer((_, i) =>
    new Response(i === 0 ? "<html>SECRET" : '{"key": "SECRET')
  );
  const html = await failure(get(server.url));
  assert.equal(html.code, "api-malformed");
  assert.match(html.message, /the answer is HTML$/);
  const cut = await failure(get(server.url));
  assert.match(cut.message, /the answer is not JSON$/);
  assert.ok(!`${cut.message}${cut.cause}${html.message}`.includes("SECRET"));
});

Deno.test("an answer without an end is not read for ever", async () => {
  const chunk = new TextEncoder().encode("x".repeat(1 << 20));
  await using server = fakeServer(() =>
    new Response(new ReadableStream({ pull: (c) => c.enqueue(chunk) }))
  );
  assert.equal((await failure(get(server.url))).code, "api-malformed");
});

Deno.test("nobody listening, no such host and bad TLS are told apart", async () => {
  const refused = await failure(get("http://127.0.0.1:58999"));
  assert.equal(refused.code, "api-unreachable");
  assert.match(refused.message, /connection refused$/);
  const nowhere = await failure(get("http://nowhere.invalid"));
  assert.equal(nowhere.code, "api-unreachable");
  assert.match(nowhere.message, /no such host as nowhere\.invalid$/);
  await using server = fakeServer(() => json({}));
  const plain = await failure(get(server.url.replace("http:", "https:")));
  assert.equal(plain.code, "api-unreachable");
  assert.match(plain.message, /TLS failed/);
});

Deno.test("a call has a time limit, and its signal ends it with the signal's own reason", async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  await using server = fakeServer(async () => {
    asked.resolve();
    await gate.promise;
    return json({});
  });
  const late = await failure(get(server.url, { timeout: 50 }));
  assert.equal(late.code, "api-unreachable");
  assert.match(late.message, /no answer within 50 ms/);
  const stop = new AbortController();
  const call = get(server.url, { signal: stop.signal });
  await asked.promise;
  stop.abort(new SallyportError("aborted", "stopping"));
  assert.equal((await failure(call)).code, "aborted");
  assert.equal((await failure(get(server.url, { signal: stop.signal }))).code, "aborted");
  gate.resolve();
});
