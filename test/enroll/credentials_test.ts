import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Login } from "../../src/enroll/api.ts";
import { authorisedApi, credentials } from "../../src/enroll/credentials.ts";
import { secretSource } from "../../src/enroll/secret.ts";
import { StateFile } from "../../src/enroll/state.ts";
import { SallyportError } from "../../src/errors.ts";
import { fakeServer, json } from "../fake_server.ts";
import { temporaryFolder } from "../temporary.ts";

/** A platform's login calls, without the platform: counts and can be told to fail. */
class FakeLogin {
  calls: string[] = [];
  fail: SallyportError | undefined;
  constructor(readonly expiresIn = 100, readonly accessTokenMaxTTL = 1000) {}

  login = ({ clientId, clientSecret }: { clientId: string; clientSecret: string }) =>
    this.#answer(`login ${clientId} ${clientSecret}`);
  renewToken = (token: string) => this.#answer(`renew ${token}`);
  enrolRelay = (token: string) => this.enrolGateway(`relay ${token}`);
  enrolGateway = async (token: string) => {
    await this.#answer(`enroll ${token}`);
    return { accessToken: `own-${token}`, id: "id" };
  };

  #answer(call: string): Promise<Login> {
    this.calls.push(call);
    const { fail, expiresIn, accessTokenMaxTTL } = this;
    if (fail) return Promise.reject(fail);
    return Promise.resolve({
      accessToken: `t${this.calls.length}`,
      expiresIn,
      accessTokenMaxTTL,
      tokenType: "Bearer",
    });
  }
}

function universal(api: FakeLogin) {
  let now = 0;
  const auth = {
    method: "universal-auth",
    clientId: "c",
    clientSecret: secretSource("s"),
  } as const;
  const way = credentials(auth, { api, now: () => now });
  return { way, at: (seconds: number) => now = seconds * 1000 };
}

Deno.test("universal auth logs in once, and renews when a fifth of the life is left", async () => {
  const api = new FakeLogin();
  const { way, at } = universal(api);
  assert.deepEqual(await Promise.all([way.token(), way.token()]), ["t1", "t1"]);
  at(79);
  assert.equal(await way.token(), "t1");
  at(80);
  assert.equal(await way.token(), "t2");
  assert.deepEqual(api.calls, ["login c s", "renew t1"]);
});

Deno.test("universal auth logs in again when the token has expired or its longest life ends", async () => {
  const api = new FakeLogin(100, 200);
  const { way, at } = universal(api);
  await way.token();
  at(101);
  await way.token();
  at(181);
  await way.token();
  // 80 % of 200 s after the second login
  at(262);
  await way.token();
  assert.deepEqual(api.calls, ["login c s", "login c s", "renew t2", "login c s"]);
});

Deno.test("universal auth renews no earlier than the platform asks for, while its token holds", async () => {
  const api = new FakeLogin();
  const { way, at } = universal(api);
  await way.token();
  api.fail = new SallyportError("api-rate-limited", "429", { retryAfter: 10_000 });
  for (const second of [80, 81, 89, 90, 91]) {
    at(second);
    assert.equal(await way.token(), "t1");
  }
  assert.deepEqual(api.calls, ["login c s", "renew t1", "renew t1"]);
  api.fail = undefined;
  at(100);
  assert.equal(await way.token(), "t4");
});

Deno.test("universal auth logs in when renewal is refused, and keeps its token when the API is away", async () => {
  const api = new FakeLogin();
  const { way, at } = universal(api);
  await way.token();
  at(85);
  api.fail = new SallyportError("api-unreachable", "away");
  assert.equal(await way.token(), "t1");
  api.fail = new SallyportError("credentials-refused", "no");
  const renewed = way.token();
  api.fail = undefined;
  assert.equal(await renewed, "t4");
  assert.deepEqual(api.calls, ["login c s", "renew t1", "renew t1", "login c s"]);
});

Deno.test("universal auth: a refused old token leads to a login, a fresh one does not", async () => {
  const api = new FakeLogin();
  const { way, at } = universal(api);
  const token = await way.token();
  assert.equal(await way.refused(token), false);
  at(61);
  assert.equal(await way.refused(token), true);
  assert.equal(await way.token(), "t2");
  assert.equal(await way.refused(token), true, "t1 is not the present token");
  assert.equal(api.calls.length, 2);
});

Deno.test("universal auth: a lifetime of 0 means no limit", async () => {
  const api = new FakeLogin(0, 0);
  const { way, at } = universal(api);
  await way.token();
  at(10 ** 9);
  assert.equal(await way.token(), "t1");
});

Deno.test("a token that is rotated in its file is picked up when the old one is refused", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "token");
  await writeFile(path, "old", { mode: 0o600 });
  await using server = fakeServer((request) =>
    request.headers.get("authorization") === "Bearer new" ? json([]) : json({}, 401)
  );
  const auth = { method: "token", token: secretSource(`@${path}`) } as const;
  const api = authorisedApi(auth, { domain: server.url });
  await assert.rejects(api.relays(), { code: "credentials-refused" });
  await writeFile(path, "new");
  assert.deepEqual(await api.relays(), []);
  assert.equal(server.requests.length, 3);
});

Deno.test("an enrolment token is spent once; afterwards the gateway's own token is used", async () => {
  await using folder = await temporaryFolder();
  const api = new FakeLogin();
  const state = new StateFile(folder.path, "g");
  const enrol = (token?: string, domain = "https://x") =>
    credentials({ method: "enroll-token", token: token ? secretSource(token) : undefined }, {
      api,
      domain,
      state,
    });
  await assert.rejects(enrol().token(), { code: "credentials-refused", message: /not enrolled/ });
  const first = enrol("one");
  assert.deepEqual(await Promise.all([first.token(), first.token()]), ["own-one", "own-one"]);
  assert.equal(await enrol("one").token(), "own-one", "a restart with the same command line");
  assert.equal(await enrol().token(), "own-one", "a restart without the token");
  assert.deepEqual(api.calls, ["enroll one"]);
  assert.equal(await enrol("two").token(), "own-two", "a new token enrols anew");
  await assert.rejects(enrol(undefined, "https://y").token(), {
    code: "state",
    message: /belongs to https:\/\/x\/api, not to https:\/\/y\/api/,
  });
  assert.equal((await state.load())?.accessToken, "own-two");
});

Deno.test("an enrolment token is not spent where its fruit cannot be kept", async () => {
  await using folder = await temporaryFolder();
  const api = new FakeLogin();
  class FullDisk extends StateFile {
    override check(): Promise<void> {
      return Promise.reject(new SallyportError("state", "the disk is full"));
    }
  }
  const way = credentials({ method: "enroll-token", token: secretSource("one") }, {
    api,
    state: new FullDisk(folder.path, "g"),
  });
  await assert.rejects(way.token(), { code: "state" });
  assert.deepEqual(api.calls, []);
});

Deno.test("a refused enrolment says so, and may be tried again", async () => {
  await using folder = await temporaryFolder();
  const api = new FakeLogin();
  const way = credentials({ method: "enroll-token", token: secretSource("one") }, {
    api,
    state: new StateFile(folder.path, "g"),
  });
  api.fail = new SallyportError("api-not-found", "bad enrollment token");
  await assert.rejects(way.token(), { code: "credentials-refused", hint: /works once/ });
  api.fail = new SallyportError("api-unreachable", "away");
  await assert.rejects(way.token(), { code: "api-unreachable" });
  api.fail = undefined;
  assert.equal(await way.token(), "own-one");
});
