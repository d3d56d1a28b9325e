import assert from "node:assert/strict";
import { hostPrincipals, parseRelayAddress } from "../../src/link/relay_address.ts";

Deno.test("a relay's address may carry a port, and SSH's 2222 is meant without one", () => {
  const table: [string, string, number][] = [
    ["relay.example", "relay.example", 2222],
    ["relay.example:3333", "relay.example", 3333],
    ["10.0.0.1", "10.0.0.1", 2222],
    ["10.0.0.1:22", "10.0.0.1", 22],
    ["2001:db8::1", "2001:db8::1", 2222],
    ["[2001:db8::1]", "2001:db8::1", 2222],
    ["[2001:db8::1]:22", "2001:db8::1", 22],
    [" relay ", "relay", 2222],
  ];
  for (const [text, host, port] of table) {
    assert.deepEqual(parseRelayAddress(text), { host, port }, text);
  }
});

Deno.test("what is no address is a malformed answer of the platform", () => {
  for (const text of ["", "a b", "a:0", "a:65536", "a:b", "a:1:2", "[x]:1", "http://a", "[::1"]) {
    assert.throws(() => parseRelayAddress(text), { code: "api-malformed" }, text);
  }
});

Deno.test("a host certificate may name host and port or the host", () => {
  assert.deepEqual(hostPrincipals({ host: "r", port: 2222 }), ["r:2222", "r"]);
  assert.deepEqual(hostPrincipals({ host: "::1", port: 22 }), ["[::1]:22", "::1:22", "::1"]);
});
