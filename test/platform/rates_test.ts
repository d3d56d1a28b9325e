/** Too many requests and too many guesses at the platform's API, over real sockets. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { PlatformApi } from "../../src/enroll/api.ts";
import { askedWait } from "../../src/link/backoff.ts";
import type { SallyportError } from "../../src/errors.ts";
import { TokenBuckets } from "../../src/platform/token_bucket.ts";
import { platform, type PlatformFixture } from "./fixture.ts";
import { ask, requestText } from "./raw_client.ts";

/** A clock that a test moves. */
class Elapsed {
  ms = 0;
  readonly now = () => this.ms;
}

async function limited(limits: object): Promise<{ p: PlatformFixture; clock: Elapsed }> {
  const clock = new Elapsed();
  const listen = { host: "127.0.73.1", port: 0 };
  return { p: await platform({ listen, limits, elapsed: clock.now }), clock };
}

const bearer = (token: string) => [`authorization: Bearer ${token}`];
const relays = (url: string, token: string, from?: string) =>
  ask(url, requestText("GET", "/api/v1/relays", bearer(token)), { from });

function login(url: string, clientId: string, clientSecret: string, headers: string[] = []) {
  const body = JSON.stringify({ clientId, clientSecret });
  const all = ["content-type: application/json", `content-length: ${body.length}`, ...headers];
  return ask(url, requestText("POST", "/api/v1/auth/universal-auth/login", all, body));
}

function tokenOf(p: PlatformFixture, name: string): string {
  const { id } = p.admin.createIdentity({ name, roles: ["gateway"] });
  return p.admin.createIdentityToken({ identity: id }).token;
}

Deno.test("who asks without a token is told to wait after so many requests, and how long", async () => {
  const { p, clock } = await limited({ anonymousRequests: 6 });
  await using _ = p;
  const status = () => ask(p.url, requestText("GET", "/api/status"));
  for (let i = 0; i < 6; i++) assert.equal((await status()).status, 200);
  const { status: refused, headers, body } = await status();
  assert.equal(refused, 429);
  assert.equal(headers.get("retry-after"), "10");
  assert.deepEqual(JSON.parse(body), {
    statusCode: 429,
    message: "more than 6 requests a minute",
    error: "TooManyRequests",
  });
  assert.equal((await ask(p.url, requestText("GET", "/no/such/path"))).status, 429);
  clock.ms += 9_000;
  assert.equal((await status()).headers.get("retry-after"), "1");
  clock.ms += 1_000;
  assert.equal((await status()).status, 200);
  assert.equal((await status()).status, 429);
  clock.ms += 3_600_000;
  for (let i = 0; i < 6; i++) assert.equal((await status()).status, 200);
  assert.equal((await status()).status, 429);
});

Deno.test("who guesses tokens is answered 401, then 429 without another look at any", async () => {
  const { p, clock } = await limited({ failedLogins: 3 });
  await using _ = p;
  const good = tokenOf(p, "edge");
  const guess = (i: number) => relays(p.url, good.slice(0, -4) + String(1000 + i));
  for (let i = 0; i < 3; i++) assert.equal((await guess(i)).status, 401);
  const refused = await guess(3);
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "20"]);
  assert.match(refused.body, /too many failed logins from this address/);
  assert.equal((await relays(p.url, good)).status, 429, "the right one tells a guesser nothing");
  assert.equal((await relays(p.url, good, "127.0.73.2")).status, 200, "nobody else waits");
  clock.ms += 20_000;
  assert.equal((await guess(4)).status, 401);
  assert.equal((await guess(5)).status, 429);
});

Deno.test("who guesses client secrets and one-time tokens is slowed just so", async () => {
  const { p, clock } = await limited({ failedLogins: 2 });
  await using _ = p;
  const { clientId, clientSecret } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const body = JSON.stringify({ token: p.admin.createGatewayToken({ gateway: "gw" }).token });
  const wrong = body.replace(/....."}$/, 'AAAAA"}');
  const enrol = (text: string) =>
    ask(
      p.url,
      requestText("POST", "/api/v3/gateways/token-auth/enroll", [
        "content-type: application/json",
        `content-length: ${text.length}`,
      ], text),
    );
  assert.equal((await login(p.url, clientId, "wrong")).status, 401);
  assert.equal((await enrol(wrong)).status, 401);
  assert.equal((await login(p.url, clientId, clientSecret)).status, 429);
  assert.equal((await enrol(body)).status, 429);
  clock.ms += 60_000;
  assert.equal((await login(p.url, clientId, clientSecret)).status, 200);
  assert.equal((await enrol(body)).status, 200);
});

Deno.test("a guesser does not shut out those behind the same address whose token was good", async () => {
  const { p } = await limited({ failedLogins: 2, anonymousRequests: 20 });
  await using _ = p;
  const good = tokenOf(p, "edge");
  assert.equal((await relays(p.url, good)).status, 200);
  for (let i = 0; i < 30; i++) await relays(p.url, `wrong-${i}`);
  assert.equal((await relays(p.url, "wrong")).status, 429);
  assert.equal((await relays(p.url, good)).status, 200);
});

Deno.test("a good token is no pass for guessing another secret", async () => {
  const { p } = await limited({ failedLogins: 2 });
  await using _ = p;
  const good = tokenOf(p, "mallory");
  const { clientId } = p.admin.createIdentity({ name: "ci", roles: ["gateway"] });
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) {
    await relays(p.url, good);
    statuses.push((await login(p.url, clientId, `guess-${i}`, bearer(good))).status);
  }
  assert.equal(statuses.filter((status) => status === 401).length, 2, statuses.join());
});

Deno.test("one identity with several tokens and addresses has one limit, and another has its own", async () => {
  const { p, clock } = await limited({ requests: 5 });
  await using _ = p;
  const mallory = tokenOf(p, "mallory");
  const second = p.admin.createIdentityToken({ identity: "mallory" }).token;
  const bob = tokenOf(p, "bob");
  for (const token of [mallory, second, bob]) await relays(p.url, token);
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) {
    statuses.push((await relays(p.url, mallory)).status);
    statuses.push((await relays(p.url, second, "127.0.73.2")).status);
  }
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
  assert.equal((await relays(p.url, bob)).status, 200);
  clock.ms += 12_000;
  assert.equal((await relays(p.url, mallory)).status, 200);
  assert.equal((await relays(p.url, second)).status, 429);
});

Deno.test("a revoked token is no known one: it is counted by its address", async () => {
  const { p } = await limited({ anonymousRequests: 5 });
  await using _ = p;
  const token = tokenOf(p, "gone");
  p.admin.revokeIdentity({ identity: "gone" });
  for (let i = 0; i < 5; i++) assert.equal((await relays(p.url, token)).status, 403);
  assert.equal((await relays(p.url, token)).status, 429);
});

Deno.test("a forwarded address is believed of nobody", async () => {
  const { p } = await limited({ anonymousRequests: 2 });
  await using _ = p;
  const headers = (i: number) => [
    `x-forwarded-for: 192.0.2.${i}`,
    `forwarded: for=192.0.2.${i}`,
    `x-real-ip: 192.0.2.${i}`,
  ];
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) {
    statuses.push((await ask(p.url, requestText("GET", "/api/status", headers(i)))).status);
  }
  assert.deepEqual(statuses, [200, 200, 429]);
});

Deno.test("our own client waits as long as it is told to", async () => {
  const { p } = await limited({ failedLogins: 1 });
  await using _ = p;
  const api = new PlatformApi({ domain: p.url });
  const wrong = { clientId: "x", clientSecret: "wrong" };
  await assert.rejects(api.login(wrong), { code: "credentials-refused" });
  const error = await api.login(wrong).then(() => undefined, (e: SallyportError) => e);
  assert.equal(error?.code, "api-rate-limited");
  assert.equal(error?.retryable, true);
  assert.equal(error?.retryAfter, 60_000);
  assert.equal(askedWait(error!), 60_000);
  assert.match(error!.hint!, /60 s/);
});

Deno.test("a bucket gives what flows into it, and no more", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 1_000 }),
    fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 200 }),
    (perMinute, pauses) => {
      const clock = new Elapsed();
      const buckets = new TokenBuckets(perMinute, clock.now);
      let taken = 0;
      for (const pause of pauses) {
        clock.ms += pause;
        const wait = buckets.wait("a");
        if (buckets.take("a") === 0) taken++;
        else {
          clock.ms += Math.ceil(wait);
          assert.equal(buckets.take("a"), 0, "after the wait there is one");
          taken++;
        }
      }
      assert.ok(taken <= perMinute + clock.ms * perMinute / 60_000 + 1e-3);
    },
  ));
});

Deno.test("who comes from a million addresses does not fill the memory, nor empty others' buckets", () => {
  const clock = new Elapsed();
  const buckets = new TokenBuckets(1, clock.now, 1_000);
  for (let i = 0; i < 1_000_000; i++) {
    buckets.take(`address ${i}`);
    if (i % 500 === 0) assert.equal(buckets.take("a regular") === 0, i === 0);
  }
  assert.equal(buckets.size, 1_000);
});
