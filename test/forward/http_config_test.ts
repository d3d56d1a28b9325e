import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { parseHttpConfig } from "../../src/forward/http_config.ts";
import {
  endToEnd,
  type Field,
  fieldsOf,
  valuesOf,
  without,
} from "../../src/forward/http_headers.ts";
import { hostHeader, readOrigin } from "../../src/forward/http_origin.ts";
import { certificate } from "./certificates.ts";

const one = (await certificate("one", { authority: true })).certificate;
const two = (await certificate("two", { authority: true })).certificate;
const base64 = (text: string) => Buffer.from(text).toString("base64");

Deno.test("a CONFIG line without words verifies against the public authorities", () => {
  for (const line of ["CONFIG", "CONFIG ", "CONFIG colour=blue x", "CONFIG verify=true"]) {
    assert.deepEqual(parseHttpConfig(line), { verify: true }, line);
  }
});

Deno.test("verify=false is read, whatever stands around it", () => {
  assert.deepEqual(parseHttpConfig("CONFIG a=b verify=false c"), { verify: false });
  assert.deepEqual(parseHttpConfig("CONFIG  verify=false"), { verify: false });
});

Deno.test("ca= gives every certificate of a chain, and nothing else of it", () => {
  const { ca, verify } = parseHttpConfig(`CONFIG ca=${base64(`# one\n${one}\n${two}\n`)}`);
  assert.equal(verify, true);
  assert.equal(ca?.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.doesNotMatch(ca!, /#/);
  const unpadded = base64(`${one}\n\n`).replace(/=+$/, "");
  assert.match(parseHttpConfig(`CONFIG ca=${unpadded}`).ca!, /^-----BEGIN/);
});

const MALFORMED: [string, RegExp][] = [
  ["", /does not begin with "CONFIG"/],
  ["config", /does not begin with "CONFIG"/],
  ["CONFIGURE", /does not begin with "CONFIG"/],
  ["GET / HTTP/1.1", /does not begin with "CONFIG"/],
  ["CONFIG verify=", /neither true nor false/],
  ["CONFIG verify=True", /neither true nor false/],
  ["CONFIG verify=0", /neither true nor false/],
  ["CONFIG verify=true verify=false", /verify= is given twice/],
  ["CONFIG ca=", /not base64/],
  ["CONFIG ca=*", /not base64/],
  [`CONFIG ca=${base64("hello")}`, /holds no PEM certificate/],
  [
    `CONFIG ca=${base64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}`,
    /cannot be read/,
  ],
  [`CONFIG ca=${base64(one)} ca=${base64(two)}`, /ca= is given twice/],
];

for (const [line, message] of MALFORMED) {
  Deno.test(`a CONFIG line is refused: "${line.slice(0, 40)}"`, () => {
    assert.throws(() => parseHttpConfig(line), { code: "route-malformed", message });
  });
}

Deno.test("any line is read or refused as malformed, and only a clear word turns verifying off", () => {
  const word = fc.oneof(
    fc.constantFrom("verify=false", "verify=true", "verify=", "ca=AAAA", "CONFIG"),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(word), (words) => {
    const line = ["CONFIG", ...words].join(" ");
    try {
      const { verify } = parseHttpConfig(line);
      assert.equal(verify, !line.split(" ").includes("verify=false"));
    } catch (error) {
      assert.equal((error as { code?: string }).code, "route-malformed");
    }
  }));
});

Deno.test("a CONFIG line with a changed byte never means less care than it said, and never others", () => {
  const ca = `ca=${base64(one)}`;
  const line = `CONFIG ${ca} verify=true`;
  const original = parseHttpConfig(line);
  const verifyAt = line.lastIndexOf(" verify=");
  fc.assert(
    fc.property(fc.nat(line.length - 1), fc.integer({ min: 0, max: 255 }), (at, code) => {
      const changed = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1);
      try {
        const { ca: authorities, verify } = parseHttpConfig(changed);
        assert.equal(verify, true, changed);
        // A word with another name is none that is known.
        if (authorities === undefined) assert.ok(at <= "CONFIG ca=".length || at === verifyAt);
        else {assert.equal(
            authorities.match(/BEGIN/g)?.length,
            original.ca!.match(/BEGIN/g)?.length,
          );}
      } catch (error) {
        assert.equal((error as { code?: string }).code, "route-malformed");
      }
    }),
    { numRuns: 500, seed: 2 },
  );
});

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/);
const field: fc.Arbitrary<Field> = fc.tuple(
  fc.oneof(
    token,
    fc.constantFrom("Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Content-Length"),
  ),
  fc.oneof(token, fc.tuple(token, token).map(([a, b]) => `${a} ,${b.toUpperCase()}`)),
);

Deno.test("what goes on is in order, unchanged, and holds nothing that Connection names", () => {
  fc.assert(fc.property(fc.array(field), (fields) => {
    const kept = endToEnd(fields);
    let from = 0;
    for (const one of kept) {
      const at = fields.indexOf(one, from);
      assert.ok(at >= from, "a field was changed, made up or moved");
      from = at + 1;
    }
    const named = valuesOf(fields, "connection").join().toLowerCase().split(",")
      .map((name) => name.trim());
    for (const [name] of fields) {
      const lower = name.toLowerCase();
      const hop = ["connection", "keep-alive", "te", "transfer-encoding"].includes(lower);
      const stays = lower === "content-length" || (!hop && !named.includes(lower));
      assert.equal(valuesOf(kept, lower).length, stays ? valuesOf(fields, lower).length : 0, name);
    }
  }));
});

Deno.test("raw lists become fields, and fields go by their name in any spelling", () => {
  const fields = fieldsOf(["A", "1", "b", "2", "a", "3"]);
  assert.deepEqual(fields, [["A", "1"], ["b", "2"], ["a", "3"]]);
  assert.deepEqual(valuesOf(fields, "a"), ["1", "3"]);
  assert.deepEqual(without(fields, "a"), [["b", "2"]]);
});

Deno.test("a target's host tells the scheme, and the Host header leaves out its own port", () => {
  const cases: [string, number, boolean, string, string][] = [
    ["db.example", 80, false, "db.example", "db.example"],
    ["db.example", 8080, false, "db.example", "db.example:8080"],
    ["http://db.example/", 443, false, "db.example", "db.example:443"],
    ["HTTPS://db.example", 443, true, "db.example", "db.example"],
    ["https://10.0.0.1", 6443, true, "10.0.0.1", "10.0.0.1:6443"],
    ["https://[fd00::1]", 443, true, "fd00::1", "[fd00::1]"],
    ["fd00::1", 8080, false, "fd00::1", "[fd00::1]:8080"],
  ];
  for (const [host, port, secure, bare, header] of cases) {
    const origin = readOrigin({ host, port });
    assert.deepEqual(origin, { secure, host: bare, port });
    assert.equal(hostHeader(origin), header);
  }
});

Deno.test("a target that is more than a host is refused", () => {
  const hosts = [
    "",
    "http://",
    "ftp://a",
    "a/b",
    "https://a/b",
    "a?b",
    "a#b",
    "user@a",
    "a:80",
    "https://a:443",
    "a b",
    "[a",
    "[zz::1]",
    "https://https://a",
    "a\r\nX: y",
  ];
  for (const host of hosts) {
    assert.throws(() => readOrigin({ host, port: 80 }), { code: "route-malformed" }, host);
  }
});

Deno.test("an origin never carries a character that could end a header or a URL's host", () => {
  fc.assert(fc.property(fc.string({ unit: "binary-ascii" }), (host) => {
    try {
      assert.doesNotMatch(hostHeader(readOrigin({ host, port: 1 })), /[\s/?#@]/);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "route-malformed");
    }
  }));
});
