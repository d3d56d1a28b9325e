import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ALPN, readRoute } from "../../src/channel/route.ts";
import { SallyportError } from "../../src/errors.ts";
import { OID } from "../../src/certificates/x509.ts";
import { Pki } from "./pki.ts";

const pki = await Pki.create("ecdsa");
const TARGET = '{"targetHost":"db.internal","targetPort":5432}';
const ACTOR = '{"type":"platform","id":"a1","name":"Ada"}';
const PLACE = "@".repeat(120);
const { der: template } = await pki.client({ target: PLACE, actor: "@".repeat(110) });

/** The template with other bytes in the place of its target, padded with spaces as JSON allows. */
function withTarget(value: Uint8Array): Buffer {
  const copy = Buffer.from(template);
  const at = copy.indexOf(PLACE);
  copy.fill(" ", at, at + PLACE.length).set(value.subarray(0, PLACE.length), at);
  copy.fill(" ", copy.indexOf("@".repeat(110)), copy.indexOf("@".repeat(110)) + 110)
    .write("{}", copy.indexOf(" ".repeat(110), at + PLACE.length));
  return copy;
}

Deno.test("a route has mode, target, actor and serial of the certificate", async () => {
  const { der } = await pki.client({ target: TARGET, actor: ACTOR, serial: "0abc" });
  assert.deepEqual(readRoute("infisical-tcp-proxy", der), {
    mode: "tcp",
    alpn: "infisical-tcp-proxy",
    target: { host: "db.internal", port: 5432 },
    actor: { type: "platform", id: "a1", name: "Ada" },
    serial: "0abc",
  });
});

Deno.test("ping and health need no target, tcp and http do", async () => {
  const { der } = await pki.client();
  assert.equal(readRoute("infisical-ping", der).target, undefined);
  assert.equal(readRoute("infisical-health", der).target, undefined);
  for (const alpn of ["infisical-tcp-proxy", "infisical-http-proxy"]) {
    assert.throws(() => readRoute(alpn, der), {
      code: "route-malformed",
      message: `client certificate: it names no target (extension ${OID.target})`,
    });
  }
});

Deno.test("a certificate that names no actor type gets no privilege", async () => {
  for (const actor of [undefined, "{}", '{"type":1}']) {
    const { der } = await pki.client({ target: TARGET, actor });
    assert.deepEqual(readRoute("infisical-tcp-proxy", der).actor, {
      type: "unknown",
      id: "platform:gw",
      name: undefined,
    });
  }
});

Deno.test("targets that make no sense are refused", () => {
  const bad = [
    "",
    "[]",
    "null",
    '"x"',
    "{",
    '{"targetHost":"","targetPort":1}',
    '{"targetHost":"a b","targetPort":1}',
    '{"targetHost":"a\\nb","targetPort":1}',
    '{"targetHost":"a","targetPort":0}',
    '{"targetHost":"a","targetPort":65536}',
    '{"targetHost":"a","targetPort":1.5}',
    '{"targetHost":"a","targetPort":"80"}',
    '{"targetHost":["a"],"targetPort":80}',
  ];
  for (const text of bad) {
    assert.throws(
      () => readRoute("infisical-tcp-proxy", withTarget(Buffer.from(text))),
      { code: "route-malformed" },
      text,
    );
  }
});

Deno.test("a protocol outside the table is not served, whatever its name", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.constantFrom("toString", "__proto__")), (alpn) => {
    fc.pre(!Object.hasOwn(ALPN, alpn));
    assert.throws(() => readRoute(alpn, template), { code: "route-malformed" });
  }));
});

Deno.test("any bytes as a target give a usable target or route-malformed", () => {
  const json = fc.record({
    targetHost: fc.oneof(fc.string({ maxLength: 12 }), fc.jsonValue({ maxDepth: 0 })),
    targetPort: fc.oneof(fc.integer(), fc.jsonValue({ maxDepth: 0 })),
  }).map((value) => Buffer.from(JSON.stringify(value)));
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), json), (bytes) => {
    try {
      const { target } = readRoute("infisical-tcp-proxy", withTarget(bytes));
      assert.ok(target!.host !== "" && !/[\0- \x7f]/.test(target!.host));
      assert.ok(Number.isInteger(target!.port) && target!.port > 0 && target!.port < 65536);
    } catch (error) {
      assert.ok(error instanceof SallyportError, String(error));
      assert.equal(error.code, "route-malformed");
    }
  }));
});
