import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseEndpoint, parseGivenAddress } from "../../../src/diagnostic/firewall/endpoint.ts";

Deno.test("endpoints are read as people write them", () => {
  for (
    const [text, host, port] of [
      ["relay.example", "relay.example", 2222],
      ["Relay.Example.:2022", "relay.example", 2022],
      ["198.51.100.7", "198.51.100.7", 2222],
      ["10.0.5.0/24:5432", "10.0.5.0/24", 5432],
      ["2001:db8::7", "2001:db8::7", 2222],
      ["[2001:db8::7]", "2001:db8::7", 2222],
      ["[2001:db8::7]:65535", "2001:db8::7", 65535],
      ["2001:db8::/32", "2001:db8::/32", 2222],
      ["[2001:db8::/32]:1", "2001:db8::/32", 1],
      ["xn--bcher-kva.example", "xn--bcher-kva.example", 2222],
    ] as const
  ) {
    assert.deepEqual(parseEndpoint(text, 2222), { host, port }, text);
  }
  assert.deepEqual(parseEndpoint("10.0.0.1"), { host: "10.0.0.1", port: undefined });
});

Deno.test("what is no endpoint is quoted in the complaint", () => {
  const wrong = ["", ":22", "a:", "a:0", "a:65536", "a b", "a:b", "-a", "a..b", "a/8", "[a]x"];
  wrong.push("1.2.3", "1.2.3.4.5", "[1.2.3.4", "fe80::1%eth0", `${"a".repeat(254)}`, "a;b", "$(a)");
  for (const text of wrong) {
    assert.throws(() => parseEndpoint(text, 1), (error: Error & { code?: string }) => {
      return error.code === "usage" && error.message.includes(text);
    }, text);
  }
});

Deno.test("nothing passes that a shell, PowerShell or HCL would read as more than a word", () => {
  const signs = fc.string({ unit: fc.constantFrom(..."a1.:-_/[]=%$`'\"\\;&|<>(){}!*? \n\t,é") });
  fc.assert(
    fc.property(signs, (text) => {
      for (const read of [(t: string) => parseEndpoint(t, 1).host, (t: string) => nameOf(t)]) {
        let host: string;
        try {
          host = read(text);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "usage");
          continue;
        }
        assert.match(host, /^[a-z0-9_][a-z0-9_.:/-]*$|^::[a-f0-9:./]*$/);
      }
    }),
    { numRuns: 2000 },
  );
});

function nameOf(text: string): string {
  return parseGivenAddress(`${text}=192.0.2.1`).name;
}

Deno.test("given addresses may be single or whole networks, of either family", () => {
  assert.deepEqual(parseGivenAddress("App.Infisical.com=192.0.2.0/24"), {
    name: "app.infisical.com",
    network: { family: 4, address: "192.0.2.0", prefix: 24 },
  });
  assert.equal(parseGivenAddress("a=2001:db8::1").network.address, "2001:db8::1");
  for (const text of ["", "a", "a=", "=192.0.2.1", "a=b", "a b=192.0.2.1"]) {
    assert.throws(() => parseGivenAddress(text), { code: "usage" }, text);
  }
});
