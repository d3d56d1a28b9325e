import assert from "node:assert/strict";
import * as fc from "fast-check";
import { plainAddress, sourceOf } from "../src/source.ts";

Deno.test("an IPv6 network is one source, however its addresses are written; IPv4 in IPv6 is IPv4", () => {
  for (
    const [address, source] of [
      ["192.0.2.7", "192.0.2.7"],
      ["::ffff:192.0.2.7", "192.0.2.7"],
      ["::FFFF:192.0.2.7", "192.0.2.7"],
      ["::FFFF:c000:207", "192.0.2.7"],
      ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
      ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
      ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
      ["2001:db8::1", "2001:db8:0:0::/64"],
      ["fe80::1%eth0", "fe80:0:0:0::/64"],
      ["::1", "0:0:0:0::/64"],
      ["::", "0:0:0:0::/64"],
      ["64:ff9b::192.0.2.7", "64:ff9b:0:0::/64"],
      ["1:2:3:4:5:6:192.0.2.7", "1:2:3:4::/64"],
      [undefined, ""],
    ]
  ) assert.equal(sourceOf(address), source, address);
  fc.assert(fc.property(fc.ipV6(), (address) => {
    assert.match(sourceOf(address), /^([0-9a-f]{1,4}:){4}:\/64$|^\d+(\.\d+){3}$/);
  }));
});

Deno.test("changing the low half of an IPv6 address makes nobody somebody else", () => {
  const word = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
  const half = fc.array(word, { minLength: 4, maxLength: 4 });
  fc.assert(fc.property(half, half, half, (high, one, other) => {
    fc.pre(high.some((part) => part !== "0"));
    const at = (low: string[]) => sourceOf([...high, ...low].join(":"));
    assert.equal(at(one), at(other));
    assert.equal(at(one), `${high.join(":")}::/64`);
  }));
});

Deno.test("IPv4 in IPv6's spelling is told as it is known, everything else as it is", () => {
  assert.equal(plainAddress("::ffff:192.0.2.7"), "192.0.2.7");
  for (const address of ["192.0.2.7", "2001:db8::1", ""]) {
    assert.equal(plainAddress(address), address);
  }
  assert.equal(plainAddress(undefined), "");
});
