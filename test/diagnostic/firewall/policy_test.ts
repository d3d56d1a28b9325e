import assert from "node:assert/strict";
import { makePolicy } from "../../../src/diagnostic/firewall/policy.ts";
import { POLICIES } from "./policies.ts";

const madeAt = new Date("2026-01-02T03:04:05.000Z");

Deno.test("rules have names of their own, and name servers are asked over UDP and TCP", () => {
  assert.deepEqual(
    POLICIES.only.rules.map(({ id, protocol, port }) => [id, protocol, port]),
    [
      ["platform", "tcp", 443],
      ["relay", "tcp", 2222],
      ["relay-2", "tcp", 2223],
      ["dns-udp", "udp", 53],
      ["dns-tcp", "tcp", 53],
      ["also", "tcp", 5432],
      ["also-2", "tcp", undefined],
    ],
  );
});

Deno.test("what was resolved is told with the time, and that it may change; given addresses are not", () => {
  const { remarks } = POLICIES.allow;
  assert.ok(
    remarks.includes(
      "app.infisical.com had these addresses at 2026-01-02T03:04:05.000Z: 203.0.113.9, " +
        "203.0.113.10, 2001:db8::1",
    ),
  );
  assert.ok(remarks.some((remark) => /may change/.test(remark)));
  const fixed = makePolicy([], { only: false, madeAt });
  assert.ok(!fixed.remarks.some((remark) => /may change/.test(remark)));
});

Deno.test("names behind a policy that lets no name server through are warned about", () => {
  const { rules } = POLICIES.only;
  const named = { ...rules[0]!, resolved: true };
  const address = { ...rules[1]!, resolved: false };
  const dns = { ...rules[3]!, resolved: false };
  const warnings = (only: boolean, ...all: (typeof named)[]) =>
    makePolicy(all, { only, madeAt }).warnings;
  assert.match(
    warnings(true, named, address).join(),
    /app\.infisical\.com must stand in the hosts/,
  );
  assert.deepEqual(warnings(true, named, dns), []);
  assert.deepEqual(warnings(true, address), []);
  assert.deepEqual(warnings(false, named), []);
});

Deno.test("a label stays short enough for nftables and Azure, however long the name", () => {
  const rule = {
    ...POLICIES.only.rules[0]!,
    host: `${"a".repeat(60)}.`.repeat(4),
    resolved: false,
  };
  const [{ label } = { label: "" }] = makePolicy([rule], { only: true, madeAt }).rules;
  assert.equal(label.length, 120);
});
