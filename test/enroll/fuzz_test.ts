/** Answers and files as they come from outside: whatever it is, it is read or refused with our errors. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { writeFile } from "node:fs/promises";
import * as fc from "fast-check";
import { type GatewayRegistration, PlatformApi } from "../../src/enroll/api.ts";
import { callApi, readRetryAfter } from "../../src/enroll/call.ts";
import { validityOf } from "../../src/enroll/registration.ts";
import { StateFile } from "../../src/enroll/state.ts";
import { SallyportError } from "../../src/errors.ts";
import { fuzz } from "../fuzz.ts";
import { gatewayRegistration } from "../registration_fixture.ts";
import { temporaryFolder } from "../temporary.ts";

/** A fetch whose answer is `body` with `status`, as the real one would give it. */
function answering(
  body: Uint8Array,
  status: number,
  headers: Record<string, string> = {},
): typeof fetch {
  return () =>
    Promise.resolve(
      new Response([204, 205, 304].includes(status) ? null : Uint8Array.from(body), {
        status,
        headers,
      }),
    );
}

/** What `attempt` gives; undefined if it fails, which must be with an error of ours. */
async function given<T>(attempt: () => Promise<T>, codes: RegExp): Promise<T | undefined> {
  try {
    return await attempt();
  } catch (error) {
    assert.ok(error instanceof SallyportError, error instanceof Error ? error.stack : `${error}`);
    assert.match(error.code, codes);
    assert.ok(error.message.length < 2_000, "an answer makes a message grow");
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(error.message, /[\u0000-\u001f\u007f]/, "an answer forges a line");
    return undefined;
  }
}

const API_CODES = /^(api-|credentials-refused$)/;
const status = fc.oneof(
  fc.constantFrom(200, 201, 204, 302, 401, 403, 404, 429, 503),
  fc.integer({ min: 200, max: 599 }),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.json().map((text) => Buffer.from(text)),
  fc.record({
    message: fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.jsonValue()),
    error: fc.jsonValue(),
  }, { requiredKeys: [] }).map((value) => Buffer.from(JSON.stringify(value))),
  fc.tuple(fc.jsonValue({ maxDepth: 1 }), fc.integer({ min: 1, max: 20_000 }))
    .map(([entry, count]) =>
      Buffer.from(JSON.stringify(Array.from({ length: count }, () => entry)))
    ),
);

Deno.test("any answer of the platform is given or refused, by every call", async () => {
  const location = fc.oneof(
    fc.constant(undefined),
    fc.stringMatching(/^[ -~]{0,80}$/),
    fc.constant("x".repeat(9_000)),
  );
  await fc.assert(
    fc.asyncProperty(body, status, location, async (bytes, code, to) => {
      const api = new PlatformApi({
        domain: "https://platform.test",
        token: () => "T",
        fetch: answering(bytes, code, to === undefined ? {} : { location: to, "retry-after": to }),
      });
      await given(() => api.registerGateway({ name: "g", relayName: "r" }), API_CODES);
      await given(() => api.enrolGateway("once"), API_CODES);
      await given(() => api.gatewayHeartbeat(), API_CODES);
      await given(() => api.login({ clientId: "c", clientSecret: "s" }), API_CODES);
      const relays = await given(() => api.relays(), API_CODES);
      for (const { name, host } of relays ?? []) assert.ok(name !== "" && host !== "");
    }),
    fuzz(300, 1),
  );
});

Deno.test("an answer that comes in pieces is the same as in one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.nat(20), async (value, size) => {
      const bytes = Buffer.from(JSON.stringify(value));
      const pieces = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size + 1) {
            controller.enqueue(Uint8Array.from(bytes.subarray(at, at + size + 1)));
          }
          controller.close();
        },
      });
      const answer = await callApi({
        domain: "https://platform.test",
        method: "GET",
        path: "/v1/relays",
        fetch: () => Promise.resolve(new Response(pieces)),
      });
      assert.deepEqual(answer, JSON.parse(bytes.toString()));
    }),
    fuzz(200, 2),
  );
});

Deno.test("a registration with damaged bytes is refused, or means what it meant", async () => {
  const good = await gatewayRegistration();
  const text = Buffer.from(JSON.stringify(good));
  const meaning = await meaningOf(good);
  const damage = fc.array(fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 })), {
    minLength: 1,
    maxLength: 2,
  });
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(text);
      for (const [at, value] of changes) bytes[at] = value;
      const api = new PlatformApi({
        domain: "https://platform.test",
        token: () => "T",
        fetch: answering(bytes, 200),
      });
      const answer = await given(() => api.connectGateway(), API_CODES);
      if (!answer) return;
      taken++;
      const { notBefore, notAfter } = validityOf(answer);
      assert.ok(notBefore < notAfter);
      assert.deepEqual(await meaningOf(answer), meaning);
    }),
    fuzz(400, 3),
  );
  assert.ok(taken > 0, "even harmless damage was refused");
});

/** What a registration says of who is who: the keys and certificates, not how they are written. */
async function meaningOf({ pki, ssh }: GatewayRegistration): Promise<unknown> {
  const { X509Certificate, createPrivateKey } = await import("node:crypto");
  const { parseAuthorizedKey, parsePrivateKey, publicKeyBlob } = await import(
    "../../src/certificates/ssh_key.ts"
  );
  const { parseSshCertificate } = await import("../../src/certificates/ssh.ts");
  const user = parseSshCertificate(parseAuthorizedKey(ssh.clientCertificate).blob);
  return {
    keyId: user.keyId,
    principals: user.principals,
    certified: user.publicKey.toString("hex"),
    key: publicKeyBlob(parsePrivateKey(ssh.clientPrivateKey)).toString("hex"),
    tls: new X509Certificate(pki.serverCertificate).checkPrivateKey(
      createPrivateKey(pki.serverPrivateKey),
    ),
  };
}

Deno.test("any Retry-After is a time from now on or nothing", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.date().map(String), fc.integer().map(String)), (text) => {
      const wait = readRetryAfter(text, Date.now());
      assert.ok(wait === undefined || (wait >= 0 && Number.isFinite(wait)), text);
    }),
    fuzz(500, 4),
  );
});

Deno.test("any state file is loaded or refused, and a damaged one never as another's", async () => {
  await using folder = await temporaryFolder();
  const file = new StateFile(folder.path, "g");
  const state = { id: "id-1", accessToken: "token-1", domain: "https://x/api" };
  await file.save(state);
  const good = Buffer.from(JSON.stringify({ version: 1, ...state }));
  const damaged = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length))
    .map(([at, value, length]) => {
      const copy = Buffer.from(good);
      copy[at] = value;
      return copy.subarray(0, Math.max(length, at + 1));
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged, body), async (bytes) => {
      await writeFile(file.path, bytes, { mode: 0o600 });
      const loaded = await given(() => file.load(), /^state$/);
      if (!loaded) return;
      assert.ok(loaded.id && loaded.accessToken && loaded.domain);
    }),
    fuzz(200, 5),
  );
});
