/** The pure parts: faults told apart, firewall commands, file modes, clocks. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { skewOf } from "../../../src/diagnostic/doctor/checks/clock.ts";
import { modeFault, type Rule } from "../../../src/diagnostic/doctor/file_modes.ts";
import { faultOf, firewallCommand } from "../../../src/diagnostic/doctor/reach.ts";
import { SallyportError } from "../../../src/errors.ts";

const system = (code: string) => Object.assign(new Error(code), { code });

Deno.test("an error is told by its code, however deep, and by the most telling of several", () => {
  const wrapped = (cause: unknown) => new SallyportError("relay-unreachable", "x", { cause });
  assert.equal(faultOf(system("ECONNREFUSED")), "refused");
  assert.equal(faultOf(wrapped(new AggregateError([system("ENETUNREACH")]))), "no-route");
  assert.equal(
    faultOf(wrapped(new AggregateError([system("ENETUNREACH"), system("ECONNREFUSED")]))),
    "refused",
  );
  assert.equal(faultOf(wrapped(wrapped(system("ECONNRESET")))), "reset");
  assert.equal(faultOf(system("EHOSTUNREACH")), "unreachable");
  assert.equal(faultOf(system("EPERM")), "forbidden");
  assert.equal(faultOf(new SallyportError("timeout", "late")), "silent");
  assert.equal(faultOf(new Error("?")), "other");
  assert.equal(faultOf("?"), "other");
});

Deno.test("the firewall command names platform and relay as they were given", () => {
  const relay = { host: "r.example", port: 2222 };
  assert.equal(
    firewallCommand("https://app.infisical.com", relay),
    "sallyport firewall --relay r.example",
  );
  assert.equal(
    firewallCommand("eu.infisical.com/api/", { host: "2001:db8::1", port: 2222 }),
    "sallyport firewall --domain https://eu.infisical.com --relay [2001:db8::1]",
  );
  assert.equal(
    firewallCommand("http://10.0.0.1:8080", { host: "2001:db8::1", port: 22 }),
    "sallyport firewall --domain http://10.0.0.1:8080 --relay [2001:db8::1]:22",
  );
  assert.match(firewallCommand("a.example", undefined), /--relay HOST$/);
});

for (
  const [rule, mode, words, grave] of [
    ["secret", 0o100600, undefined, false],
    ["secret", 0o100400, undefined, false],
    ["secret", 0o100640, /read by its group \(mode 0640\)/, false],
    ["secret", 0o100644, /read by everybody \(mode 0644\)/, true],
    ["secret", 0o100660, /written by its group/, true],
    ["state", 0o100600, undefined, false],
    ["state", 0o100640, /read by its group/, true],
    ["folder", 0o040700, undefined, false],
    ["folder", 0o040755, /read by everybody/, true],
    ["folder", 0o040777, /written by everybody/, true],
    ["config", 0o100644, undefined, false],
    ["config", 0o100666, /written by everybody/, true],
  ] as const
) {
  Deno.test(`a ${rule} of mode ${mode.toString(8)}: ${words ?? "well"}`, () => {
    const fault = modeFault({ path: "/f", mode, owner: 1000 }, rule, 1000);
    if (words === undefined) return assert.equal(fault, undefined);
    assert.match(fault!.finding, words);
    assert.match(fault!.remedy, /^chmod [67]\d\d \/f/);
    assert.equal(fault!.grave, grave);
  });
}

Deno.test("a secret of another user is a failure, except to root and if it is root's", () => {
  const of = (owner: number, uid: number) =>
    modeFault({ path: "/f", mode: 0o600, owner }, "secret" satisfies Rule, uid);
  assert.match(of(1000, 1001)!.finding, /belongs to the user 1000/);
  assert.equal(of(1000, 1001)!.grave, true);
  assert.equal(of(0, 1001), undefined);
  assert.equal(of(1000, 0), undefined);
});

Deno.test("a right clock is never blamed, whatever the answer takes; a wrong one is, by its error", () => {
  const ms = fc.integer({ min: 0, max: 2 ** 40 });
  const span = fc.integer({ min: 0, max: 10_000 });
  fc.assert(fc.property(ms, span, span, (before, until, after) => {
    const written = before + until;
    const server = Math.floor(written / 1000) * 1000;
    assert.equal(skewOf({ server, before, after: written + after }), 0);
  }));
  fc.assert(fc.property(ms, span, span, span, (before, until, after, off) => {
    const error = off + 20_000;
    const server = Math.floor((before + until) / 1000) * 1000;
    const end = before + until + after;
    // Off by the error, less than what the answer took and the header's second.
    const ahead = skewOf({ server, before: before + error, after: end + error });
    assert.ok(ahead <= error && ahead >= error - until - 1000, `${ahead} of ${error}`);
    const behind = -skewOf({ server, before: before - error, after: end - error });
    assert.ok(behind <= error && behind >= error - after - 1000, `${behind} of ${error}`);
  }));
});
