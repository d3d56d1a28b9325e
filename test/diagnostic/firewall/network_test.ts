import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  cidr,
  formatNetwork,
  inOrder,
  parseNetwork,
} from "../../../src/diagnostic/firewall/network.ts";

Deno.test("addresses and networks of both families are read and written in one form", () => {
  for (
    const [text, bare, full] of [
      ["192.0.2.1", "192.0.2.1", "192.0.2.1/32"],
      ["10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"],
      ["0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"],
      ["2001:DB8:0:0::1", "2001:db8::1", "2001:db8::1/128"],
      ["2001:db8::/32", "2001:db8::/32", "2001:db8::/32"],
      ["::/0", "::/0", "::/0"],
    ] as const
  ) {
    const network = parseNetwork(text)!;
    assert.deepEqual([formatNetwork(network), cidr(network)], [bare, full]);
  }
});

Deno.test("what is neither address nor network is left to others", () => {
  for (
    const text of ["", "a", "app.infisical.com", "1.2.3", "256.1.1.1", "fe80::1%eth0", ":", "/8"]
  ) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});

Deno.test("a network that cloud firewalls refuse is refused here, with what to write", () => {
  assert.throws(() => parseNetwork("10.0.0.5/8"), { code: "usage", message: /behind its prefix/ });
  assert.throws(() => parseNetwork("2001:db8::1/64"), { code: "usage" });
  assert.throws(() => parseNetwork("10.0.0.0/33"), { code: "usage", message: /32 bits/ });
  assert.throws(() => parseNetwork("::/129"), { code: "usage", message: /128 bits/ });
});

Deno.test("the order is numeric, IPv4 first, whatever order the resolver has, and each comes once", () => {
  const wanted = [
    "9.9.9.9",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.2",
    "2001:db8::2",
    "2001:db8::10",
  ];
  const networks = fc.shuffledSubarray([...wanted, ...wanted], { minLength: 12 });
  fc.assert(fc.property(networks, (texts) => {
    const ordered = inOrder(texts.map((text) => parseNetwork(text)!)).map(formatNetwork);
    assert.deepEqual(ordered, wanted);
  }));
});
